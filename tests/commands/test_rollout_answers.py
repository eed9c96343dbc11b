"""Answers of a rollout, and labels, as text and as JSON."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support import logged
from support.serving_roots import ADA
from tiffin.commands.rollout_answers import answer_lines, answers_to_json, label_lines, labels_to_json
from tiffin.rollout.document import Rollout
from tiffin.rollout.joining import join, read_labels
from tiffin.rollout.plan import Limits, Step
from tiffin.rollout.recorded import Recorded, update
from tiffin.serving.prediction_log import start_of_hour
from tiffin.serving.root import ServedModel

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
TIME = START + timedelta(minutes=1)


def rollout(step: Step) -> Rollout:
    at = START.isoformat()
    return Rollout("2-a", 2, 1, "canary", (step,), Limits(), "", ADA, at, "running", "", 0, at, "", "")


def put(log: Path, *routes: str, **inputs: Any) -> None:
    rows = [
        logged.row(route, 1 + (route != "stable"), f"{route if 'candidate' in routes else ''}{number}", TIME,
                   output_y=number + 0.5 * (route != "stable"), output_text="t", **inputs)
        for number in range(120)
        for route in routes
    ]  # fmt: skip
    failed = {**rows[0], "code": "UNAVAILABLE"}
    logged.write(log, [*rows, failed])


def found(log: Path, step: Step) -> Recorded:
    return update(Recorded("2-a", start_of_hour(START).isoformat()), rollout(step), "taxi", str(log))


def test_without_answers(tmp_path: Path) -> None:
    nothing = found(tmp_path, Step(mirror=100))

    assert len([*answer_lines(nothing, "")]) == 1
    assert len([*answer_lines(nothing, "the gateway records no requests")]) == 2
    assert answers_to_json(nothing, "")["agreement"] is None


def test_answers_of_copies(tmp_path: Path) -> None:
    put(tmp_path, "stable", "mirror", input_name="n" * 90, **{f"input_{letter}": letter * 40 for letter in "abc"})
    recorded = found(tmp_path, Step(mirror=100))
    lines, shown = [*answer_lines(recorded, "")], answers_to_json(recorded, "")

    assert max(map(len, lines)) <= 80
    assert all(word in "\n".join(lines) for word in ("agreement", "difference", "not compared", "rows left out"))
    agreement = shown["agreement"]
    assert (agreement["pairs"], agreement["share"]) == (120, 0)
    assert len(agreement["outputs"]["y"]["largest"]) == 10
    assert (shown["not_compared"], shown["skipped_rows"]) == (["text"], {"failed": 1})
    assert json.loads(json.dumps(shown)) == shown


def test_answers_by_route(tmp_path: Path) -> None:
    put(tmp_path, "stable", "candidate")
    recorded = found(tmp_path, Step(weight=50))

    assert max(map(len, answer_lines(recorded, ""))) <= 80
    assert answers_to_json(recorded, "")["predictions"]["y"]["candidate"] == {"rows": 120, "mean": 60}


def test_labels(tmp_path: Path) -> None:
    put(tmp_path / "log", "stable", "mirror")
    given = [*({"request_id": str(number), "label": number} for number in range(100)), {"request_id": "", "label": 1}]
    now, served = rollout(Step(mirror=100)), ServedModel(str(tmp_path / "root"), "taxi")
    table = read_labels([*given, {"request_id": "x", "label": 5}], ["request_id", "label"])
    joined = join(served, now, str(tmp_path / "log"), table)
    unread = Counter({"cut": 2})
    lines, shown = [*label_lines("taxi", now, joined, unread)], labels_to_json("taxi", now, joined, unread)

    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    assert all(word in text for word in ("rmse", "labels", "2 unreadable", "1 incomplete", "left out"))
    assert (shown["quality"]["metrics"]["rmse"]["candidate"], shown["quality"]["unused"]) == (0.5, 1)
    assert json.loads(json.dumps(shown)) == shown
