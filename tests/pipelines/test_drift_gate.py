"""The drift gate in real runs: a first model is deployed, and data that has shifted stops the run that follows."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from support.command_line import tiffin

pytestmark = pytest.mark.runs


class State:
    """Runs of the pipeline with one state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def train(self, shift: int, *settings: str) -> tuple[int, dict[str, Any]]:
        """Train on 300 rows, whose kilometres are moved, and return the exit status and what --json prints."""
        vehicles = ["bike", "car", "van"]
        rows = "".join(f"{n * 7 % 17 + shift},{vehicles[n * 5 % 3]},{int(n * 7 % 17 > 8)},{n}x\n" for n in range(300))
        data = self.folder / f"{shift}.csv"
        data.write_text(f"km,vehicle,late,id\n{rows}")
        words = [word for one in (f"data={data}", "epochs=20", *settings) for word in ("--set", one)]
        command = ("run", "training", "--json", "--stop-server", "--state", self.folder / "state")
        status, output, _ = tiffin(*command, *words)
        return status, json.loads(output)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    return State(tmp_path_factory.mktemp("gate"))


@pytest.fixture(scope="module")
def first(state: State) -> dict[str, Any]:
    status, result = state.train(0, "drift_gate=stop")
    assert status == 0, result["reason"]
    return result


def codes(result: dict[str, Any]) -> list[str]:
    return [note["code"] for note in result["notes"] if note["step"] == "validate-examples"]


def test_the_first_model_passes(first: dict[str, Any]) -> None:
    assert codes(first) == ["NO_BASELINE"]
    assert first["model"]["version"] == 1


def test_shifted_data_is_reported_and_trained_on(state: State, first: dict[str, Any]) -> None:
    # A gate that no model passes: the first one stays in production.
    status, result = state.train(30, 'thresholds={"log_loss": 0}')

    assert (status, result["stopped_by"]) == (3, "evaluation")
    assert codes(result) == ["DRIFTED"]


def test_the_same_data_passes(state: State, first: dict[str, Any]) -> None:
    status, result = state.train(0, "drift_gate=stop", 'thresholds={"log_loss": 0}')

    assert (status, result["stopped_by"]) == (3, "evaluation")
    assert codes(result) == ["REUSED"]


def test_shifted_data_stops_the_run_with_the_reason(state: State, first: dict[str, Any]) -> None:
    status, result = state.train(30, "drift_gate=stop")
    states = {step["name"]: step["state"] for step in result["steps"]}

    assert (status, result["stopped_by"], result["model"]) == (3, "validation", None)
    assert [word for word in ("'km'", "version 1", "drift_gate=report") if word not in result["reason"]] == []
    assert (states["validate-examples"], states["train-model"]) == ("succeeded", "skipped")
    assert "'km'" in unescape(Path(result["report"]).read_text())
