"""What the prediction log shows of a rollout, read file by file."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from support import logged
from support.serving_roots import ADA
from tiffin.rollout.answer_limits import count_missing, find_worse
from tiffin.rollout.document import Rollout
from tiffin.rollout.plan import Limits, Step
from tiffin.rollout.recorded import Recorded, follow, read_recorded, update
from tiffin.serving.prediction_log import hour_folder, start_of_hour
from tiffin.serving.root import ROLLOUT_ANSWERS, ServedModel

RUNS_IN = ("dev", "gateway")

# The log of the last hours is read.
NOW = datetime.now(UTC).replace(microsecond=0)
START = NOW - timedelta(minutes=10)
MIRROR, WEIGHT = Step(mirror=100.0, min_requests=50), Step(weight=50.0, min_requests=50)


def rollout(*steps: Step, limits: Limits | None = None, **changes: Any) -> Rollout:
    started = Rollout(
        "2-a", 2, 1, "shadow_canary", steps, limits or Limits(), "", ADA, START.isoformat(), "running", "", 0,
        START.isoformat(), "", "",
    )  # fmt: skip
    return replace(started, **changes)


def pairs(first: int, count: int, wrong: int = 0, seconds: float = 60, **values: Any) -> list[dict[str, Any]]:
    """Return rows of requests and of their copies, which are answered differently in some."""
    rows = []
    for number in range(first, first + count):
        time = START + timedelta(seconds=seconds)
        score = 0.1 + 0.8 * (number % 2)
        other = 1 - score if number - first < wrong else score
        for route, version, value in (("stable", 1, score), ("mirror", 2, other)):
            given = {"output_probability": value, "output_classes": "yes", "input_fare": float(number), **values}
            rows.append(logged.row(route, version, f"r{number}", time, **given))
    return rows


def divided(count: int, shift: float = 0.0, seconds: float = 60, seed: int = 1) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    rows = []
    for number in range(2 * count):
        route, version = (("stable", 1), ("candidate", 2))[number % 2]
        value = chance.gauss(shift * (version == 2), 1)
        time = START + timedelta(seconds=seconds)
        rows.append(logged.row(route, version, f"d{number}", time, output_y=value))
    return rows


def read(log: Path, now: Rollout, before: Recorded | None = None) -> Recorded:
    hour = start_of_hour(START).isoformat()
    return update(before or Recorded(now.id, hour), now, "taxi", str(log))


@pytest.mark.parametrize("rows", [[], pairs(0, 19)])
def test_too_few_answers(tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    if rows:
        logged.write(tmp_path, rows)
    found = read(tmp_path, rollout(MIRROR))

    assert (found.choice, found.pairs, found.files, found.compare()) == (None, 0, (), {})
    assert count_missing(found, rollout(MIRROR, limits=Limits(min_agreement=0.9))) == 50


def test_copies_agree_or_not(tmp_path: Path) -> None:
    logged.write(tmp_path, pairs(0, 40, wrong=4))
    found = read(tmp_path, rollout(MIRROR)).agreement
    output = found.outputs["probability"]

    assert (found.pairs, found.agreeing, found.unpaired_stable, found.unpaired_candidate) == (40, 36, 0, 0)
    assert [(pair.key, pair.inputs) for pair in output.largest[:2]] == [("r0", {"fare": 0}), ("r1", {"fare": 1})]
    assert output.largest[0].stable == (0.1,)
    assert read(tmp_path, rollout(MIRROR)).predictions == {}


def test_files_are_read_once(tmp_path: Path) -> None:
    now = rollout(MIRROR)
    logged.write(tmp_path, pairs(0, 30), "a")
    first = read(tmp_path, now)
    assert read(tmp_path, now, first) == first

    logged.write(tmp_path, pairs(30, 30, wrong=3), "b")
    second = read(tmp_path, now, first)
    assert (first.files, second.files) == (("a.parquet",), ("a.parquet", "b.parquet"))
    assert (first.pairs, second.pairs, second.agreement.agreeing) == (30, 60, 57)


def test_files_without_a_row_of_the_rollout_are_read_once(tmp_path: Path) -> None:
    now = rollout(MIRROR)
    logged.write(tmp_path, [{**row, "version": 7} for row in pairs(0, 30)], "others")
    logged.write(tmp_path, pairs(0, 5), "few")
    first = read(tmp_path, now)
    assert (first.choice, first.files) == (None, ("others.parquet",))

    logged.write(tmp_path, pairs(5, 25), "more")
    second = read(tmp_path, now, first)
    assert (second.pairs, second.files) == (30, ("few.parquet", "more.parquet", "others.parquet"))


def test_a_copy_may_be_in_the_next_file(tmp_path: Path) -> None:
    rows, now = pairs(0, 30, wrong=1), rollout(MIRROR)
    logged.write(tmp_path, [row for row in rows if row["route"] == "stable"], "a")
    first = read(tmp_path, now)
    assert (first.pairs, len(first.waiting_stable)) == (0, 30)

    logged.write(tmp_path, [row for row in rows if row["route"] == "mirror"], "b")
    second = read(tmp_path, now, first)
    assert (second.pairs, second.agreement.agreeing, second.waiting_stable) == (30, 29, ())


def test_rows_without_a_counterpart(tmp_path: Path) -> None:
    """300 of each version wait; those before are counted."""
    rows, more = pairs(0, 30), pairs(1000, 400)
    lone = [row for row in more if row["route"] == "mirror"]
    failed = [{**row, "code": "UNAVAILABLE"} for row in pairs(2000, 5)]
    logged.write(tmp_path, [*rows, *lone, *rows, *failed])
    found = read(tmp_path, rollout(MIRROR))

    assert (found.pairs, len(found.waiting_candidate), found.agreement.unpaired_candidate) == (30, 300, 100)
    assert (found.agreement.repeated, found.skipped) == (60, {"failed": 10})


def test_the_state_is_written_and_stays_small(tmp_path: Path) -> None:
    served, now = ServedModel(str(tmp_path / "root"), "taxi"), rollout(MIRROR)
    assert read_recorded(served, now) == (Recorded("2-a", start_of_hour(START).isoformat()), None)

    sizes = []
    for number in range(4):
        logged.write(tmp_path / "log", pairs(300 * number, 300, wrong=30, input_note="n" * 1000), f"{number}")
        found = follow(served, now, str(tmp_path / "log"))
        sizes.append(len((served.read(ROLLOUT_ANSWERS) or (b"", ""))[0]))
    assert (found.pairs, read_recorded(served, now)[0]) == (1200, found)
    assert sizes[-1] < sizes[0] + 2000
    # Another rollout begins anew.
    assert read_recorded(served, replace(now, id="3-b"))[0].pairs == 0


def test_files_of_hours_ago_are_complete(tmp_path: Path) -> None:
    began = NOW - timedelta(hours=4)
    now = rollout(MIRROR, started=began.isoformat(), since=began.isoformat())
    before = Recorded(now.id, start_of_hour(began).isoformat())
    for hours in range(4):
        logged.write(
            tmp_path,
            [{**row, "time": began + timedelta(hours=hours, minutes=1)} for row in pairs(99 * hours, 30)],
            f"{hours}",
        )
    some = update(before, now, "taxi", str(tmp_path), most_files=1)
    found = update(some, now, "taxi", str(tmp_path))

    assert (some.pairs, some.hour) == (30, start_of_hour(began + timedelta(hours=1, minutes=1)).isoformat())
    # The hour may turn during the test.
    assert found.hour in {start_of_hour(one - timedelta(hours=1)).isoformat() for one in (NOW, datetime.now(UTC))}
    assert found.pairs == 120
    assert len(found.files) <= 2


def test_a_damaged_file_is_counted(tmp_path: Path) -> None:
    logged.write(tmp_path, pairs(0, 30))
    Path(hour_folder(str(tmp_path), "taxi", start_of_hour(START + timedelta(minutes=1))), "b.parquet").write_bytes(
        b"PAR1"
    )
    found = read(tmp_path, rollout(MIRROR))

    assert (found.pairs, found.unread_files, found.files) == (30, 1, ("a.parquet", "b.parquet"))


def test_predictions_of_a_step(tmp_path: Path) -> None:
    """Those before the step began, with another weight, are not counted."""
    now = rollout(WEIGHT, since=(START + timedelta(seconds=90)).isoformat())
    logged.write(tmp_path, [*divided(50, 3.0, seconds=60), *divided(400, 0.0, seconds=120)])
    found = read(tmp_path, now)
    sides = found.predictions["y"]

    assert (sides["stable"].rows, sides["candidate"].rows) == (400, 400)
    assert found.compare()["y"].distance < 0.2
    assert found.compare()["y"].at_least == 0

    later = replace(now, since=(START + timedelta(seconds=180)).isoformat())
    assert read(tmp_path, later, found).predictions == {}
    assert read(tmp_path, replace(later, phase="promoting"), found).predictions == found.predictions


def test_values_that_are_not_finite(tmp_path: Path) -> None:
    rows = divided(30)
    rows[0]["output.y"], rows[2]["output.y"], rows[1]["output.y"] = float("nan"), float("inf"), float("nan")
    logged.write(tmp_path, rows)
    sides = read(tmp_path, rollout(WEIGHT)).predictions["y"]

    assert (sides["stable"].rows, sides["stable"].moments.rows, sides["candidate"].moments.rows) == (30, 28, 29)


def test_the_tests_of_the_answers(tmp_path: Path) -> None:
    shadow = rollout(MIRROR, limits=Limits(min_agreement=0.95))
    logged.write(tmp_path / "bad", pairs(0, 200, wrong=60))
    logged.write(tmp_path / "good", pairs(0, 200, wrong=6))
    bad, good = (read(tmp_path / name, shadow) for name in ("bad", "good"))

    assert find_worse(bad, shadow, {"agreement": 0.001}) == ("agreement",)
    assert find_worse(bad, shadow, {"errors": 0.05}) == ()
    assert find_worse(good, shadow, {"agreement": 0.001}) == ()
    assert count_missing(good, shadow) == 0

    canary = rollout(WEIGHT, limits=Limits(max_distance=0.1))
    logged.write(tmp_path / "far", divided(1500, 2.0))
    logged.write(tmp_path / "near", divided(1500, 0.1))
    far, near = (read(tmp_path / name, canary) for name in ("far", "near"))
    assert find_worse(far, canary, {"predictions": 0.001}) == ("predictions",)
    assert find_worse(near, canary, {"predictions": 0.001}) == ()


def test_answers_that_a_step_needs(tmp_path: Path) -> None:
    limited = rollout(MIRROR, MIRROR, limits=Limits(min_agreement=0.5))
    logged.write(tmp_path, pairs(0, 30))
    found = read(tmp_path, limited)

    assert count_missing(found, limited) == 20
    assert count_missing(found, replace(limited, limits=Limits())) == 0
    # Those of the step before do not count.
    second = replace(limited, step=1, since=(START + timedelta(seconds=30)).isoformat())
    assert count_missing(read(tmp_path, second, found), second) == 50


def test_the_document_is_json(tmp_path: Path) -> None:
    served, now = ServedModel(str(tmp_path / "root"), "taxi"), rollout(MIRROR)
    logged.write(tmp_path / "log", pairs(0, 30, wrong=3))
    follow(served, now, str(tmp_path / "log"))
    content = (served.read(ROLLOUT_ANSWERS) or (b"", ""))[0]

    assert json.loads(content)["agreement"]["pairs"] == 30
