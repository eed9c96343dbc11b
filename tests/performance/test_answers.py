"""Which rows of the prediction log are answers of a version."""

from datetime import timedelta

import pytest

from support import logged
from support.labelled_log import NOON, answer, minute
from tiffin.errors import InputError
from tiffin.performance.answers import load_answers
from tiffin.performance.workspace import open_workspace
from tiffin.serving.log_reading import open_log


def load(folder, rows, task="binary", **options):
    """Return the answers and their columns of scores."""
    if rows:
        logged.write(folder, rows)
    with open_workspace() as workspace:
        log = open_log(str(folder), "taxi", NOON, NOON + timedelta(hours=1))
        found = load_answers(workspace, log, 3, task, **options)
        scores = ", ".join(f"score_{place}" for place in range(found.width))
        return found, workspace.fetch(f"SELECT request_id, {scores} FROM answers ORDER BY answer")


def test_empty_log(tmp_path):
    found, rows = load(tmp_path, [])

    assert (found.rows, found.left_out, rows) == (0, {}, [])


def test_what_is_left_out(tmp_path):
    rows = [
        answer("kept", probability=0.25),
        answer("candidate", route="candidate"),
        answer("batch", route="batch"),
        answer("other", version=2),
        answer("copy", route="mirror"),
        {**answer("failed"), "code": "UNAVAILABLE"},
        {**answer("empty"), "output.probability": None},
        answer("nan", probability=float("nan")),
        {**answer("wide"), "output.probability": [0.1, 0.9]},
        answer("odds", probability=-2.5),
        answer("rounded", probability=1.0000001),
    ]

    found, kept = load(tmp_path, rows)

    assert found.left_out == {"versions": 1, "mirror": 1, "failed": 1, "values": 3, "range": 1}
    assert kept == [("kept", 0.25), ("candidate", 0.5), ("batch", 0.5), ("rounded", 1.0)]


def test_unnamed_output_of_rest(tmp_path):
    rows = [answer("grpc", probability=0.25), {**answer("rest"), "output.probability": None, "output.outputs": 0.75}]

    assert load(tmp_path, rows)[1] == [("grpc", 0.25), ("rest", 0.75)]


def test_several_classes(tmp_path):
    row = logged.row("stable", 3, "r", minute(0), output_probabilities=[0.25, 0.5, 0.25])
    short = logged.row("stable", 3, "s", minute(0), output_probabilities=[0.5, 0.5])

    found, rows = load(tmp_path, [row, short], "multiclass", classes=3)

    assert (rows, found.left_out) == ([("r", 0.25, 0.5, 0.25)], {"values": 1})


def test_numbers(tmp_path):
    row = logged.row("stable", 3, "r", minute(0), output_prediction=-1e9)

    assert load(tmp_path, [row], "regression")[1] == [("r", -1e9)]


def test_own_output_and_inputs(tmp_path):
    row = logged.row("stable", 3, "r", minute(0), output_risk=0.5, input_city="Oslo", input_km=2.5)

    found, rows = load(tmp_path, [row], output="risk", inputs=["city", "km"])

    assert (found.inputs, rows) == ({"city": "string", "km": "float64"}, [("r", 0.5)])


@pytest.mark.parametrize("options", [{"output": "probabilty"}, {"inputs": ["citi"]}])
def test_unknown_columns(tmp_path, options):
    with pytest.raises(InputError, match=r"'(probability|city)'\?"):
        load(tmp_path, [answer("r", input_city="Oslo")], **options)
