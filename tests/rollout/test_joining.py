"""Labels that are joined with the prediction log."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support import logged
from support.serving_roots import ADA
from tiffin.errors import InputError
from tiffin.rollout.document import Rollout
from tiffin.rollout.joining import Joined, Table, join, read_labels
from tiffin.rollout.plan import Limits, Step
from tiffin.serving.recording import change_recording
from tiffin.serving.root import ServedModel

START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
ROLLOUT = Rollout(
    "2-a", 2, 1, "ab", (Step(weight=50.0),), Limits(), "", ADA, START.isoformat(), "running", "", 0, START.isoformat(), "", "",
)  # fmt: skip
TIME = START + timedelta(minutes=1)


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


def answer(number: int, **values: Any) -> dict[str, Any]:
    route, version = (("stable", 1), ("candidate", 2))[number % 2]
    return logged.row(route, version, f"r{number}", TIME, key=f"k{number}", **values)


def table(labels: dict[str, object], by: str = "request_id") -> Table:
    return read_labels([{by: key, "label": label} for key, label in labels.items()], [by, "label"])


def measured(served: ServedModel, tmp_path: Path, rows: list[dict[str, Any]], labels: Table, **options: Any) -> Joined:
    logged.write(tmp_path / "log", rows)
    return join(served, ROLLOUT, str(tmp_path / "log"), labels, **options)


def test_an_empty_table() -> None:
    assert read_labels([], ["key", "label"]).labels.values == {}


@pytest.mark.parametrize(
    ("columns", "named"), [([], "none|label"), (["label"], "request_id"), (["request_id", "labels"], "'label'|labels")]
)
def test_a_table_without_its_columns(columns: list[str], named: str) -> None:
    with pytest.raises(InputError, match=named):
        read_labels([], columns)


def test_rows_of_a_table() -> None:
    rows = [{"key": 5, "label": 1}, {"key": "5", "label": 1}, {"key": "", "label": 1}, {"key": "a", "label": None}]
    found = read_labels(rows, ["key", "label"])

    assert (found.by, found.labels.values, found.labels.repeated, found.incomplete) == ("key", {"5": 1}, 1, 2)
    with pytest.raises(InputError, match="'x'"):
        read_labels([{"key": "a", "label": 1, "row": "x"}], ["key", "label", "row"])


def test_labels_of_a_binary_model(served: ServedModel, tmp_path: Path) -> None:
    """The version in production is right in half of the rows, the candidate in all."""
    labels: dict[str, object] = {f"r{number}": ("no", "yes")[number // 2 % 2] for number in range(200)}
    rows = [
        answer(number, output_probability=0.9 if number % 2 and number // 2 % 2 else 0.1, output_classes="yes")
        for number in range(220)
    ]
    found = measured(served, tmp_path, rows, table(labels | {"other": "yes"}))

    assert (found.output, found.task, found.labels, found.skipped) == ("probability", "binary", 201, {})
    assert found.quality.matched == {"stable": 100, "candidate": 100}
    assert (found.quality.unlabelled, found.quality.unused) == ({"stable": 10, "candidate": 10}, 1)
    auc = found.quality.metrics["auc"]
    assert (auc.stable, auc.candidate) == (0.5, 1)


def test_labels_of_several_classes(served: ServedModel, tmp_path: Path) -> None:
    rows = [
        answer(number, output_probabilities=[0.2, 0.7, 0.1], output_classes=["a", "1", "c"]) for number in range(40)
    ]
    labels = table({f"k{number}": ("1.0", "a")[number % 2] for number in range(40)}, "key")
    accuracy = measured(served, tmp_path, rows, labels).quality.metrics["accuracy"]

    assert (accuracy.stable, accuracy.candidate) == (1, 0)


def test_labels_that_are_numbers(served: ServedModel, tmp_path: Path) -> None:
    """Copies are answers of the candidate."""
    rows = [answer(number, output_y=1.0 + number % 2) for number in range(300)]
    rows = [{**row, "route": "mirror"} if row["route"] == "candidate" else row for row in rows]
    rmse = measured(served, tmp_path, rows, table({f"r{number}": "1.0" for number in range(300)})).quality.metrics[
        "rmse"
    ]

    assert (rmse.stable, rmse.candidate, rmse.difference) == (0, 1, 1)
    assert rmse.interval
    assert rmse.interval.low > 0


def test_requests_with_several_rows(served: ServedModel, tmp_path: Path) -> None:
    rows = [{**answer(number // 2, output_y=1.0), "rows": 2, "row": number % 2} for number in range(40)]
    given = [{"request_id": f"r{number}", "row": "1", "label": 1} for number in range(20)]
    found = measured(served, tmp_path, rows, read_labels(given, ["request_id", "row", "label"]))

    assert found.quality.matched == {"stable": 10, "candidate": 10}
    plain = [answer(100, output_y=1.0)]
    found = measured(served, tmp_path, [*rows, *plain], table({"r100": 1}))
    assert (found.quality.matched, found.skipped) == ({"stable": 1, "candidate": 0}, {"rows": 40})


def test_labels_that_match_nothing(served: ServedModel, tmp_path: Path) -> None:
    rows = [answer(number, output_y=1.0) for number in range(20)]
    with pytest.raises(InputError, match=r"'r0'.*2 labels.*'x'"):
        measured(served, tmp_path, rows, table({"x": 1, "y": 2}))
    with pytest.raises(InputError, match="0 labels"):
        measured(served, tmp_path, rows, table({}))


def test_a_log_without_answers(served: ServedModel, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none"):
        join(served, ROLLOUT, str(tmp_path / "log"), table({"r0": 1}))
    with pytest.raises(InputError, match="none"):
        measured(served, tmp_path, [replace_time(answer(0, output_y=1.0))], table({"r0": 1}))


def replace_time(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row from before the rollout."""
    return {**row, "time": START - timedelta(seconds=1)}


@pytest.mark.parametrize("changes", [{"omit": ("key",)}, {"hash": ("key",)}])
def test_keys_that_the_log_does_not_have(served: ServedModel, tmp_path: Path, changes: dict[str, Any]) -> None:
    change_recording(served, **changes)
    with pytest.raises(InputError, match="request_id"):
        measured(served, tmp_path, [answer(0, output_y=1.0)], table({"k0": 1}, "key"))


def test_which_output(served: ServedModel, tmp_path: Path) -> None:
    rows = [answer(number, output_a=1.0, output_b=2.0) for number in range(20)]
    labels = table({f"r{number}": 1 for number in range(20)})
    with pytest.raises(InputError, match=r"a, b.*none"):
        measured(served, tmp_path, rows, labels)
    with pytest.raises(InputError, match=r"a, b.*'c'"):
        measured(served, tmp_path, rows, labels, output="c")
    assert measured(served, tmp_path, rows, labels, output="b").output == "b"
    assert measured(served, tmp_path, rows, labels, output="a", task="binary").task == "binary"


def test_labels_of_no_class(served: ServedModel, tmp_path: Path) -> None:
    rows = [answer(number, output_probability=0.5, output_classes="yes") for number in range(20)]
    with pytest.raises(InputError, match=r"'yes'.*'maybe', 'no'"):
        measured(served, tmp_path, rows, table({"r0": "yes", "r1": "no", "r2": "maybe"}))
    numbers = [answer(number, output_y=0.5) for number in range(20)]
    with pytest.raises(InputError, match=r"'r0'.*'many'"):
        measured(served, tmp_path, numbers, table({"r0": "many"}))


def test_the_rollout_before_the_last_step(served: ServedModel, tmp_path: Path) -> None:
    over = replace(ROLLOUT, phase="over", since=(START + timedelta(seconds=30)).isoformat())
    logged.write(tmp_path / "log", [answer(0, output_y=1.0)])
    with pytest.raises(InputError, match="none"):
        join(served, over, str(tmp_path / "log"), table({"r0": 1}))
