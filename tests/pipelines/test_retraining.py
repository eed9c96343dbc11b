"""Retraining in real runs: of a new span, by hand, by a schedule, and because monitoring found a changed world."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support import logged
from support.command_line import tiffin
from tiffin.pipelines.monitoring import monitoring
from tiffin.pipelines.retraining import retraining
from tiffin.pipelines.training import training
from tiffin.retraining.settings import SETTINGS

VEHICLES = ("bike", "car", "van")


def test_settings_are_the_parameters_of_training_that_no_place_or_rollout_decides() -> None:
    inputs = training.component_spec.inputs
    types = {"String": str, "Integer": int, "Float": float, "Boolean": bool, "List": list, "Dict": dict}
    own = {
        "allow_signature_change", "approval", "deadline_seconds", "keep_previous", "max_error_share", "model_name",
        "notify_on", "notify_to", "replace_newer", "requested_by", "rollout", "rollout_hours", "rollout_limits",
        "rollout_steps", "serving_address", "serving_root", "sticky", "tracking_uri", "watch",
    }  # fmt: skip
    assert set(SETTINGS) == set(inputs) - own
    assert {name: types[inputs[name].type] for name in SETTINGS} == dict(SETTINGS)


def test_outputs_of_the_preparation_are_the_settings_in_their_order() -> None:
    import tiffin as package

    outputs = package.prepare_retraining.component_spec.outputs
    assert list(outputs) == sorted(SETTINGS)


def test_monitoring_passes_on_what_retraining_asks_for() -> None:
    given = set(retraining.component_spec.inputs) - {"trigger", "verdict", "cause"}
    assert given <= set(monitoring.component_spec.inputs)


def test_the_decision_knows_of_the_labels() -> None:
    tasks = retraining.pipeline_spec.components["comp-exit-handler-1"].dag.tasks
    given = tasks["plan-retraining"].inputs.parameters
    for name in ("labels", "labelled_window"):
        assert given[name].component_input_parameter == f"pipelinechannel--{name}"


class World:
    """A state folder, days of trips, and what happened to them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.data = f"{folder}/day={{span}}/trips.csv"
        self.codes: dict[str, Any] = {}

    def add_day(self, day: int, *, turned: bool = False, rows: int = 300) -> Path:
        """Write the trips of a day: far ones are late, or near ones in a turned world."""
        path = self.folder / f"day={day}" / "trips.csv"
        path.parent.mkdir()
        trips = [(n * 7 % 17, VEHICLES[n * 5 % 3], int((n * 7 % 17 > 8) != turned)) for n in range(rows)]
        path.write_text("km,vehicle,late\n" + "".join(f"{km},{vehicle},{late}\n" for km, vehicle, late in trips))
        return path

    def run(self, pipeline: str, *settings: str) -> tuple[int, dict[str, Any]]:
        """Run a pipeline and return the exit status and what --json prints."""
        words = [word for one in ("model_name=taxi", *settings) for word in ("--set", one)]
        command = ("run", pipeline, "--json", "--stop-server", "--state", self.state)
        status, output, _ = tiffin(*command, *words)
        return status, json.loads(output)

    def retrain(self, *settings: str, **training: Any) -> tuple[int, dict[str, Any]]:
        given = json.dumps({"data": self.data, "epochs": 20, **training})
        return self.run("retraining", "rollout=direct", f"training={given}", *settings)

    @property
    def attempts(self) -> list[dict[str, Any]]:
        path = self.state / "predictions" / "taxi" / "monitoring" / "retrainings.json"
        return list(json.loads(path.read_text())["attempts"]) if path.exists() else []


def decided(result: dict[str, Any]) -> str:
    (found,) = result["retrainings"].values()
    return str(found["code"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("world"))
    first = world.add_day(1)
    status, result = world.run("training", f"data={first}", "epochs=20")
    assert (status, result["model"]["version"]) == (0, 1), result["reason"]
    return world


@pytest.mark.timeout(900)
@pytest.mark.runs
def test_a_life(world: World) -> None:
    status, result = world.retrain("trigger=data")
    assert (status, decided(result), world.attempts) == (0, "NO_NEW_DATA", [])
    assert {step["state"] for step in result["steps"] if step["name"].startswith("train")} == {"skipped"}

    # The world turns: the new version is better on the new day.
    world.add_day(2, turned=True)
    status, result = world.retrain("trigger=data")
    assert (status, decided(result)) == (0, "START"), result["reason"]
    assert result["model"] == {"name": "taxi", "version": 2}
    (attempt,) = world.attempts
    assert (attempt["outcome"], attempt["new_version"], attempt["trigger"]) == ("deployed", 2, "data")

    # Once more within the cool-down, by a schedule; and by hand, where nothing is better.
    status, result = world.retrain("trigger=schedule")
    assert (status, decided(result), len(world.attempts)) == (0, "COOL_DOWN", 1)
    status, result = world.retrain("trigger=hand", thresholds={"log_loss": 0})
    assert (status, result["stopped_by"]) == (3, "evaluation")
    assert [one["outcome"] for one in world.attempts] == ["deployed", "rejected"]

    # A day that cannot be read: the run fails, and tells it.
    bad = world.add_day(3)
    bad.write_text("km,vehicle\n1,bike\n")
    status, result = world.retrain("trigger=hand")
    assert (status, result["state"]) == (1, "FAILED")
    assert "late" in result["reason"]
    assert world.attempts[-1]["outcome"] == "failed"
    assert "late" in world.attempts[-1]["reason"]
    bad.unlink()

    # Monitoring finds that the world turned back. The policy is to ask, then to retrain, with labelled answers as well.
    labels = answer(world, 400, version=2)
    watched = (f"labels={labels}", 'label_columns={"request_id": "id"}', "window=24h", "labelled_window=24h",
               "cool_down_hours=0", "rollout=direct", f'training={json.dumps({"data": world.data, "epochs": 20})}')  # fmt: skip
    status, result = world.run("monitoring", *watched)
    assert (status, decided(result)) == (0, "ASK")
    (verdict,) = result["monitorings"].values()
    assert verdict["verdict"] == "degraded"
    world.add_day(4)
    status, result = world.run("monitoring", *watched, "policy=retrain")
    assert (status, decided(result)) == (0, "START"), result["reason"]
    assert result["model"]["version"] > 2
    last = world.attempts[-1]
    assert (last["outcome"], last["trigger"]) == ("deployed", "monitoring")
    assert "CONCEPT_DRIFT" in last["cause"]
    assert labelled_rows(world, result["run"])["rows"] == 400

    # The new version is worse at once. It is rolled back, and no training is asked for.
    version = result["model"]["version"]
    answer(world, 400, version=version)
    status, result = world.run("monitoring", *watched, "policy=none", "roll_back_hours=24")
    assert (status, decided(result)) == (0, "POLICY_NONE"), result["reason"]
    (back,) = result["rollbacks"].values()
    assert (back["leaving"], back["version"]) == (version, 2)
    assert "CONCEPT_DRIFT" in back["why"]
    assert len(world.attempts) == 4


def answer(world: World, number: int, *, version: int) -> Path:
    """Log wrong answers of a version in the last hours, and return their labels."""
    now = datetime.now(UTC)
    trips = [(n * 7 % 17, VEHICLES[n * 5 % 3]) for n in range(number)]
    rows = [
        logged.row(
            "stable", version, f"v{version}-{n}", now - timedelta(minutes=61), input_km=float(km), input_vehicle=vehicle,
            output_probability=0.05 if km > 8 else 0.95, protocol="grpc", method="Predict", latency_seconds=0.004,
        )
        for n, (km, vehicle) in enumerate(trips)
    ]  # fmt: skip
    logged.write(world.state / "predictions", rows, f"v{version}")
    labels = world.folder / "labels.csv"
    labels.write_text("id,label\n" + "".join(f"v{version}-{n},{int(km > 8)}\n" for n, (km, _) in enumerate(trips)))
    return labels


def labelled_rows(world: World, run: str) -> dict[str, Any]:
    (path,) = (world.state / "runs" / run).rglob("labelled.json")
    return dict(json.loads(path.read_text()))
