"""Errors of steps and servers in Sentry, where SENTRY_DSN is set. Without it, sentry_sdk is never imported.

A bug is an event of the level `error`; an error that the user can fix, and with which a step ends, a `warning`. Secrets are
masked, and values of variables, requests, arguments of the program and the user's name are not sent. A Sentry that does not
respond delays the end of a step by two seconds, and changes nothing else.
"""

import contextlib
import itertools
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from tiffin.masking import masked

DSN = "SENTRY_DSN"
# Seconds to send what is left at the end of the process.
_FLUSH_SECONDS = 2.0


def is_on() -> bool:
    """Return whether errors are reported."""
    return bool(os.environ.get(DSN, "").strip())


def watch(server: str) -> None:
    """Report the errors of a server until its end: uncaught ones, those of threads, and those that it logs.

    Args:
        server: Name of the server, such as `recorder`.
    """
    if is_on():
        _start({"server": server}, is_server=True)


def send_error(error: BaseException, *, is_bug: bool) -> None:
    """Report the error with which this process ends, and wait until it is sent, for two seconds at most.

    Args:
        error: The error.
        is_bug: Whether it is one that the user cannot fix.
    """
    if not is_on() or not _start(step_tags(sys.argv)):
        return
    with contextlib.suppress(Exception):
        import sentry_sdk

        with sentry_sdk.new_scope() as scope:
            scope.set_level("error" if is_bug else "warning")
            sentry_sdk.capture_exception(error)
        sentry_sdk.flush(timeout=_FLUSH_SECONDS)


def step_tags(arguments: list[str]) -> dict[str, str]:
    """Return the component and the pipeline run of a step, from the arguments of KFP's executor; nothing for other programs.

    Args:
        arguments: The program's arguments.
    """
    given = dict(itertools.pairwise(arguments))
    tags = {"component": given.get("--function_to_execute", "")}
    with contextlib.suppress(ValueError, TypeError, AttributeError):
        outputs = json.loads(given.get("--executor_input", "{}")).get("outputs", {})
        places = [str(outputs.get("outputFile", ""))]
        places += [
            str(one.get("uri", "")) for found in outputs.get("artifacts", {}).values() for one in found["artifacts"]
        ]
        component = tags["component"].replace("_", "-")
        for place in places:
            # <root>/<pipeline>/<run>/<step>/..., with the number that KFP appends to repeated names.
            if found := re.search(rf"/([^/]+)/{re.escape(component)}(-\d+)?/", place) if component else None:
                tags["pipeline_run"] = found[1]
    return {name: value for name, value in tags.items() if value}


def _start(tags: Mapping[str, str], *, is_server: bool = False) -> bool:
    """Set the SDK up once, and return whether it works."""
    try:
        import sentry_sdk
        from sentry_sdk.integrations.atexit import AtexitIntegration
        from sentry_sdk.integrations.dedupe import DedupeIntegration
        from sentry_sdk.integrations.excepthook import ExcepthookIntegration
        from sentry_sdk.integrations.logging import LoggingIntegration
        from sentry_sdk.integrations.threading import ThreadingIntegration

        if not sentry_sdk.is_initialized():
            # Not the default integrations, of which one sends the arguments of the program, and others those of requests.
            # send_default_pii is off by default, and a warning in newer versions.
            integrations = [
                LoggingIntegration(level=None), ExcepthookIntegration(), ThreadingIntegration(),
                AtexitIntegration(callback=lambda _pending, _timeout: None),
            ]  # fmt: skip
            sentry_sdk.init(
                dsn=os.environ[DSN].strip(),
                environment=os.environ.get("SENTRY_ENVIRONMENT") or None,
                release=_release(),
                default_integrations=False,
                auto_enabling_integrations=False,
                integrations=[DedupeIntegration(), *(integrations if is_server else [])],
                include_local_variables=False,
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
                shutdown_timeout=_FLUSH_SECONDS,
                before_send=_mask,
            )
        for name, value in tags.items():
            sentry_sdk.set_tag(name, value)
    except Exception as error:  # noqa: BLE001 - a wrong DSN, or no sentry_sdk: the step ends as without it
        sys.stderr.write(f"warning: Errors are not reported to Sentry: {masked(str(error))}. Check {DSN}.\n")
        return False
    return True


def _release() -> str:
    from tiffin.version import __version__

    return f"tiffin@{__version__}"


def _mask(event: Any, _hint: Any) -> Any:
    return _masked(event)


def _masked(value: Any) -> Any:
    """Return a JSON value with the secrets in its texts masked."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item) for item in value]
    return masked(value) if isinstance(value, str) else value
