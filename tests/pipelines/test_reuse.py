"""Statistics and models of earlier runs, reused by real runs of the training pipeline."""

import json
import subprocess
from pathlib import Path

import pytest

from support.command_line import TIFFIN

pytestmark = pytest.mark.runs

# A gate that no model passes ends a run before it registers and deploys.
OPTIONS = ["--set", "data=sample:deliveries?rows=300", "--set", 'thresholds={"auc": 1}', "--set", "epochs=1", "--json"]


class State:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *options):
        done = subprocess.run(
            [TIFFIN, "run", "training", "--stop-server", "--state", str(self.folder / "state"), *OPTIONS, *options],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 3, done.stderr
        return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return State(tmp_path_factory.mktemp("reuse"))


@pytest.fixture(scope="module")
def first(state):
    return state.run()[0]


def reused(result):
    return {note["step"]: note["example"] for note in result["notes"] if note["code"] == "REUSED"}


def test_the_first_run_reuses_nothing(first):
    assert reused(first) == {}
    assert first["run"].startswith("training-")


def test_the_next_run_names_the_run_that_it_reuses(state, first):
    result, shown = state.run()

    assert reused(result) == {"validate-examples": first["run"], "train-model": first["run"]}
    assert shown.count(first["run"]) == 2
    assert result["metrics"] == first["metrics"]


def test_a_data_root_is_the_store_and_reuse_can_be_turned_off(state, first, tmp_path):
    again, _ = state.run("--no-reuse", "--set", f"data_root={tmp_path / 'root'}")

    assert reused(again) == {}
    assert sorted(path.name for path in (tmp_path / "root" / "results").iterdir()) == [
        "compute_statistics",
        "train_model",
    ]
