"""Runs of the training pipeline that fail: a single reason, and no model registered or deployed."""

import json
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from support.command_line import tiffin
from tiffin.local.environments import find_environment

pytestmark = pytest.mark.runs

ROWS = "km,vehicle,late\n" + "".join(f"{n % 17},{'bike' if n % 3 else 'car'},{n % 2}\n" for n in range(90))


def train(folder: Path, content: str, *settings: str) -> tuple[int, dict[str, Any]]:
    data = folder / "data.csv"
    if content:
        data.write_text(content)
    words = [word for setting in (f"data={data}", "epochs=1", *settings) for word in ("--set", setting)]
    status, output, _ = tiffin("run", "training", "--json", "--state", folder / "state", *words)
    return status, json.loads(output)


def states(summary: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["state"] for step in summary["steps"] if step["state"] != "skipped"}


def left(folder: Path) -> list[str]:
    """Return the files in the serving root and the MLflow store."""
    return sorted(
        str(path.relative_to(folder / "state"))
        for name in ("serving", "mlflow", "mlflow.db")
        for path in [folder / "state" / name, *(folder / "state" / name).rglob("*")]
        if path.is_file()
    )


@pytest.mark.parametrize(
    ("content", "settings", "step", "reason"),
    [
        ("", [], "ingest-examples", "data.csv'"),
        (ROWS, ['derive={"far": "kilometres > 3"}'], "ingest-examples", "'kilometres'"),
        (ROWS, ["label=lat"], "ingest-examples", "label='lat'"),
        (ROWS.replace(",1\n", ",0\n"), [], "validate-examples", "late"),
    ],
    ids=["missing file", "unknown column in derive", "unknown label", "label with one class"],
)
def test_a_mistake_is_reported_once(tmp_path: Path, content: str, settings: list[str], step: str, reason: str) -> None:
    status, summary = train(tmp_path, content, *settings)
    log = Path(next(about["log"] for about in summary["steps"] if about["name"] == step))

    assert (status, summary["state"]) == (1, "FAILED")
    assert reason in summary["reason"]
    assert log.read_text().count("error: ") == 1
    assert states(summary)[step] == "failed"
    assert "train-model" not in states(summary)
    assert states(summary)["summarize-run"] == "succeeded"
    assert summary["reason"] in unescape(Path(summary["report"]).read_text())
    assert (summary["model"], summary["serving"], left(tmp_path)) == (None, None, [])


@pytest.mark.parametrize("command", [["run"], ["submit"], ["schedule", "set", "nightly"]], ids=lambda words: words[0])
@pytest.mark.parametrize("setting", ["batch_size=-1", "splits={}", "max_bad_share=2", "deadline_seconds=0", "label="])
def test_a_value_out_of_range_is_refused_before_a_run_starts(tmp_path: Path, command: list[str], setting: str) -> None:
    options = {
        "run": ["--state", tmp_path / "state"],
        "submit": ["--host", "http://127.0.0.1:1"],
        "schedule": ["--host", "http://127.0.0.1:1", "--cron", "0 3 * * *"],
    }
    status, output, errors = tiffin(*command, "training", *options[command[0]], "--set", setting)

    assert (status, output) == (2, "")
    assert setting.partition("=")[0] in errors
    assert list(tmp_path.rglob("*.log")) == []


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (['exclude=["kmm"]'], ("exclude", "'kmm'", "km, vehicle, late")),
        (["key=vehicel"], ("key='vehicel'", "'vehicle'?", "km, vehicle, late")),
        (['derive={"far": "kmm > 3"}'], ("'kmm'", "km", "vehicle")),
        (["label=lat"], ("label='lat'", "'late'?")),
    ],
    ids=["exclude", "key", "derive", "label"],
)
def test_a_misspelt_column_needs_no_training_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], names: tuple[str, ...]
) -> None:
    (tmp_path / "venvs").mkdir()
    (tmp_path / "venvs" / "data").symlink_to(find_environment("data"))
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path / "venvs"))
    status, summary = train(tmp_path, ROWS, *settings)

    assert (status, summary["state"]) == (1, "FAILED")
    assert [name for name in names if name not in summary["reason"]] == []
    # The report is written in the environment of the models.
    assert states(summary) == {"ingest-examples": "failed", "summarize-run": "failed"}


def test_a_model_below_a_threshold_is_not_registered_or_deployed(tmp_path: Path) -> None:
    status, summary = train(tmp_path, ROWS, 'thresholds={"auc": 0.9999}')

    assert (status, summary["state"]) == (3, "FAILED")
    assert "auc" in summary["reason"]
    assert "0.9999" in summary["reason"]
    assert summary["verdict"]["passed"] is False
    assert summary["metrics"]["auc"] < 0.9999
    assert states(summary)["evaluate-model"] == "succeeded"
    assert states(summary)["stop-run-2"] == "failed"
    assert "register-model" not in states(summary)
    assert (summary["model"], summary["serving"]) == (None, None)
    # The run is in MLflow, without a model.
    assert {Path(path).name for path in left(tmp_path)} == {
        "mlflow.db", "verdict.json", "parameters.json", "report.html", "card.html", "card.md",
    }  # fmt: skip
