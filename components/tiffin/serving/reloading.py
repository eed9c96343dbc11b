"""Errors of a reload of the server's model config."""

from collections.abc import Mapping
from typing import Any

from tiffin.errors import ServingError
from tiffin.serving import model_config, wire
from tiffin.serving.messages import VersionStatus

_NOT_LOADED = "did not become available"


def check_response(response: Any, config: Any) -> None:
    """Check the status in a ReloadConfigResponse, which some servers set instead of the call's status.

    Raises:
        ServingError: The server rejected the config.
    """
    if response.status.error_code:
        codes = wire.StatusProto.DESCRIPTOR.enum_types_by_name["Code"].values_by_number
        code = codes[response.status.error_code].name if response.status.error_code in codes else "UNKNOWN"
        detail = response.status.error_message
        stop = "" if detail.endswith((".", "!", "}")) else "."
        advice = paths_of(detail, config) or "It keeps the previous one. Correct the config."
        raise ServingError(f"The server rejected the config with {code}: {detail}{stop} {advice}", code)


def explain(error: ServingError, config: Any, states: Mapping[str, list[VersionStatus]]) -> ServingError:
    """Return the error of a reload that failed, with the base paths of the models that are not available.

    Args:
        error: The error of the call.
        config: The config that was sent.
        states: Versions of each model in the config, as far as they are known.
    """
    if error.code != "DEADLINE_EXCEEDED":
        paths = paths_of(str(error), config)
        return ServingError(f"{error} {paths}", error.code) if paths else error
    problems = []
    for model in config.model_config_list.config:
        if model.name in states:
            problems += _find_problems(model, states[model.name])
    if not problems:
        return error
    start = str(error).partition(f"{error.code}: ")[0]
    return ServingError(
        f"{start}{error.code}: {'; '.join(problems)}. Check that the server can read the base path and that it has a folder "
        "for the version. Increase timeout_seconds if the version is still loading.",
        error.code,
    )


def _find_problems(model: Any, states: list[VersionStatus]) -> list[str]:
    known = {found.version: found.state for found in states}
    wanted = model_config.specific_versions(model)
    if not wanted:
        if "AVAILABLE" in known.values():
            return []
        listed = ", ".join(f"version {version} is {state}" for version, state in known.items())
        return [f"model '{model.name}' has no version in base_path '{model.base_path}'" + f": {listed}" * bool(listed)]
    return [
        f"version {version} of model '{model.name}' in base_path '{model.base_path}' is {known.get(version, 'not found')}"
        for version in wanted
        if known.get(version) != "AVAILABLE"
    ]


def paths_of(detail: str, config: Any) -> str:
    """Return advice with the base paths of the models that a server names as not loaded; empty if it names none."""
    if _NOT_LOADED not in detail:
        return ""
    paths = [f"'{model.base_path}'" for model in config.model_config_list.config if f"name: {model.name} " in detail]
    return f"Check {', '.join(paths)} as seen by the server." if paths else ""
