"""The state of every version of every model, as reported by GetModelStatus.

Follows tensorflow/serving's core/servable_state_monitor.cc: states are never removed; an unloaded version stays as END.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50


@dataclasses.dataclass(frozen=True)
class State:
    """The state of one version.

    Attributes:
        state: One of START, LOADING, AVAILABLE, UNLOADING, END.
        code: Name of the status code; `OK` without an error.
        message: Error message.
        sequence: Number of the event, which increases, so that a waiter can ignore earlier events.
    """

    state: int
    code: str = "OK"
    message: str = ""
    sequence: int = 0


class Board:
    """The states of all versions, and the labels."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[int, State]] = {}
        self.labels: dict[str, dict[str, int]] = {}
        self.sequence = 0

    def set(self, model: str, version: int, state: int, error: Exception | None = None) -> None:
        """Record a new state, with the ServingError that caused it if any."""
        self.sequence += 1
        code, message = ("OK", "") if error is None else (getattr(error, "code", "UNKNOWN"), str(error))
        self.versions.setdefault(model, {})[version] = State(state, code, message, self.sequence)

    def reached(self, models: Iterable[str], since: int) -> dict[tuple[str, int], State] | None:
        """Return the newest version of each model that is AVAILABLE or END, or None if a model has none.

        Args:
            models: Names of the models.
            since: Ignore events up to this sequence number.
        """
        found = {}
        for model in models:
            versions = self.versions.get(model, {})
            for version in sorted(versions, reverse=True):
                if versions[version].sequence > since and versions[version].state in (AVAILABLE, END):
                    found[model, version] = versions[version]
                    break
            else:
                return None
        return found

    def is_available(self, model: str, version: int) -> bool:
        """Return whether a version is AVAILABLE."""
        state = self.versions.get(model, {}).get(version)
        return state is not None and state.state == AVAILABLE

    def snapshot(self) -> dict[str, Any]:
        """Return the states and labels as lists and dicts, newest version first."""
        return {
            "models": {
                model: [[version, state.state, state.code, state.message] for version, state in _newest(versions)]
                for model, versions in self.versions.items()
            },
            "labels": self.labels,
        }


def failure(found: dict[tuple[str, int], State], noun: str) -> str | None:
    """Return the error message for models that did not become available, or None if all did.

    The messages are those of core/load_servables_fast.cc (`servable(s)`) and model_servers/server_core.cc
    (`model(s)`).
    """
    failed = [(key, state) for key, state in sorted(found.items()) if state.state != AVAILABLE]
    if not failed:
        return None
    listed = "".join(
        f"{{{{name: {model} version: {version}}}"
        + (f" due to error: {state.code}: {state.message}" if state.code != "OK" else "")
        + "}, "
        for (model, version), state in failed
    )
    return f"{len(failed)} {noun} did not become available: {{{listed}}}"


def _newest(versions: dict[int, State]) -> list[tuple[int, State]]:
    return sorted(versions.items(), reverse=True)
