"""Retry a run of a state folder from its failed step, or cancel one that is in progress."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from tiffin import images
from tiffin.errors import InputError, TiffinError
from tiffin.local.cleaning import in_progress
from tiffin.local.guarding import guarded_folder
from tiffin.local.records import SPEC, STATUSES, find_runner, read_record, read_state, taken
from tiffin.local.results import Run
from tiffin.masking import MASK
from tiffin.printing import printable
from tiffin.specs.spec import Spec, read_spec
from tiffin.version import __version__

# Time in which a run ends that gets SIGINT; its steps have ten seconds. Then it gets SIGTERM.
_CANCEL_SECONDS = 30.0


def retry_run(folder: Path, *, cold: bool = False, stop_server: bool = False, stream: TextIO = sys.stdout) -> Run:
    """Run a run that did not succeed again: same folder, ID, spec and parameters, without the steps that succeeded.

    Args:
        folder: Folder of the run.
        cold: Whether each step starts a new interpreter. Defaults to the run's option.
        stop_server: Whether to stop a model server that the retry starts when it ends. Defaults to the run's option.
        stream: Stream for progress. Defaults to standard output.

    Raises:
        InputError: The run is in progress, succeeded, was stopped by a gate, or cannot be repeated.
        TiffinError: As for `run_pipeline`.
    """
    # kfp takes a second to import; a refusal needs none of it.
    started = time.monotonic()
    state = folder.parents[1]
    with in_progress(state), _taken(folder):
        spec, record = _read(folder)
        asked = {"docker": False, "cold": cold, "stop_server": stop_server}
        options = {name: is_asked or bool(record["options"].get(name)) for name, is_asked in asked.items()}

        from tiffin.local.runs import Plan, now, run_planned, waiting_steps

        run = Run(
            spec.name,
            spec.version,
            folder,
            waiting_steps(spec),
            started=now(),
            parameters=record["parameters"],
            defaults=record["defaults"],
            options=options,
            directory=record["directory"],
            attempts=(*record["attempts"], _ended(record)),
        )
        if record.get("tiffin") != __version__:
            run.warnings = (
                f"The run started with Tiffin {record.get('tiffin')}, and is retried with {__version__}. Steps that "
                "succeeded are not run again.",
            )
            stream.write(f"warning: {printable(run.warnings[0])}\n")
        plan = Plan(spec, dict(record["parameters"]), run)
        # Relative paths in parameters have the same meaning as before.
        with contextlib.chdir(run.directory), guarded_folder() as guard:
            return run_planned(
                lambda: plan, state, folder, guard, _environments(spec, record), options, stream, started
            )


def cancel_run(folder: Path) -> str:
    """End a run in progress as Ctrl-C does, wait for its end, and return its state.

    Args:
        folder: Folder of the run.

    Raises:
        InputError: The run is not in progress.
        TiffinError: The run did not end.
    """
    runner = find_runner(folder)
    if not runner:
        state, _ = read_state(folder)
        raise InputError(f"RUN should be a run in progress. Received: '{folder.name}', which has ended: {state}.")
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            os.kill(runner, number)
        except ProcessLookupError:
            # It has just ended.
            pass
        except PermissionError:
            raise TiffinError(
                f"The run '{folder.name}' belongs to process {runner} of another user, who has to cancel it."
            ) from None
        deadline = time.monotonic() + _CANCEL_SECONDS
        while time.monotonic() < deadline:
            if find_runner(folder) is None:
                return read_state(folder)[0] if folder.is_dir() else "CANCELED"
            time.sleep(0.05)
    raise TiffinError(
        f"The run '{folder.name}' did not end within {2 * _CANCEL_SECONDS:g} s. End its process: kill -9 {runner}"
    )


@contextlib.contextmanager
def _taken(folder: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        try:
            is_taken = stack.enter_context(taken(folder))
        except FileNotFoundError:
            raise InputError(f"The run '{folder.name}' was removed. Run its pipeline again.") from None
        if not is_taken:
            raise InputError(
                f"RUN should be a run that has ended. Received: '{folder.name}', which process {find_runner(folder)} runs. "
                f"Wait for its end, or cancel it: tiffin runs cancel {folder.name}"
            )
        yield


def _read(folder: Path) -> tuple[Spec, dict[str, Any]]:
    """Return the spec and the record of a run, or refuse the retry."""
    record = read_record(folder)
    kinds = {"parameters": dict, "defaults": dict, "options": dict, "directory": str, "attempts": list, "steps": list}
    is_complete = record is not None and all(isinstance(record.get(name), kind) for name, kind in kinds.items())
    if record is None or not is_complete or not (folder / SPEC).is_file():
        raise InputError(
            f"The run '{folder.name}' cannot be retried: its record or its spec is missing or damaged, or it is of an "
            "earlier version. Run its pipeline again with tiffin run."
        )
    if record.get("state") in STATUSES:
        raise InputError(
            f"RUN should be a run that did not succeed. Received: '{folder.name}', whose state is {record['state']}."
        )
    spec = replace(read_spec(folder / SPEC), version=record.get("version"))
    gate = record.get("stopped_by") or _failed_gate(spec, record)
    if gate:
        raise InputError(
            f"The run '{folder.name}' was stopped by its gate {gate}, which a retry would meet with the same data, model "
            f"and parameters. Change one of them, or the gate, and run again: tiffin run {spec.name} --set KEY=VALUE"
        )
    masked = [name for name, value in record["parameters"].items() if MASK in str(value)]
    if masked:
        raise InputError(
            f"The run '{folder.name}' cannot be retried: its parameter {masked[0]} has a secret, which a record does not "
            "keep. Run its pipeline again with tiffin run, and set the secret in the environment."
        )
    if not os.path.isdir(record["directory"]):
        raise InputError(
            f"The run '{folder.name}' cannot be retried: its working directory '{record['directory']}', which paths in "
            "parameters may start from, is gone. Run its pipeline again with tiffin run."
        )
    return spec, record


def _failed_gate(spec: Spec, record: Mapping[str, Any]) -> str | None:
    """Return the gate whose step failed, if the run ended before its exit step wrote the summary."""
    failed = {step.get("name") for step in record["steps"] if step.get("state") == "failed"}
    return next((step.gate for step in spec.steps if step.gate and step.component in failed), None)


def _ended(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attempt of a record, for the list of attempts."""
    is_killed = record.get("state") == "RUNNING"
    return {
        "started": record.get("started"),
        "state": "KILLED" if is_killed else record.get("state"),
        "reason": record.get("reason"),
        "seconds": None if is_killed else record.get("seconds"),
    }


def _environments(spec: Spec, record: Mapping[str, Any]) -> list[str]:
    """Return the environments of the steps that run again."""
    kept = {step.get("name") for step in record["steps"] if step.get("state") in ("succeeded", "kept")}
    again = [step for step in spec.steps if step.follows_failures or step.component not in kept]
    return sorted({images.environment(step.image) for step in again})
