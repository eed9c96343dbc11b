"""Groups of rows: how columns are cut, the metrics of slices, and fairness between groups."""

import re
from datetime import UTC, datetime

import numpy as np
import pytest

from support.written import table, write_examples
from tiffin.artifacts.columns import Column
from tiffin.artifacts.documents import write as write_document
from tiffin.artifacts.examples import read_manifest
from tiffin.errors import InputError
from tiffin.quality import cuts
from tiffin.quality.cuts import cut_columns
from tiffin.quality.outcomes import Outcomes
from tiffin.quality.slices import Rows, divide
from tiffin.stages.evaluate.evaluation import evaluate
from tiffin.stages.evaluate.fairness import measure


def cut(folder, values, logical=None, **shown):
    """Return the names of the groups of a column, and the name of the group of each value."""
    data = table(x=values)
    kind = {"string": "STRING", "int64": "INT", "double": "FLOAT"}[str(data["x"].type)]
    examples = write_examples(folder, {"eval": [data.slice(0, len(values) // 2), data.slice(len(values) // 2)]})
    column = Column("x", kind, logical)
    found = cut_columns(examples, "eval", [column], len(values), shown)["x"]
    codes = found.codes(data["x"].combine_chunks())
    return found.names, [found.names[code] for code in codes]


def seconds(*texts):
    return [
        None if text is None else int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in texts
    ]


class TestCut:
    def test_of_no_values(self, tmp_path):
        assert cut(tmp_path / "a", [None, None])[1] == ["x = missing"] * 2

    def test_of_texts_is_by_value(self, tmp_path):
        names, found = cut(tmp_path, ["b", "a", None, "b"], x="Has Car?")

        assert names == ("Has Car? = b", "Has Car? = a", "Has Car? = other values", "Has Car? = missing")
        assert found == ["Has Car? = b", "Has Car? = a", "Has Car? = missing", "Has Car? = b"]

    def test_of_many_texts_groups_the_rare_ones(self, tmp_path):
        values = [f"v{number:02}" for number in range(30)] + ["v29", "v28"]
        names, found = cut(tmp_path, values)

        assert len(names) == cuts.MOST_VALUES + 2
        # The two frequent ones, then the first of those that occur once.
        assert names[:3] == ("x = v28", "x = v29", "x = v00")
        assert found.count("x = other values") == 10

    def test_of_few_numbers_is_by_value(self, tmp_path):
        assert cut(tmp_path / "a", [2, 1, 2])[1] == ["x = 2", "x = 1", "x = 2"]
        assert cut(tmp_path / "b", [0.5, None, 2.0])[1] == ["x = 0.5", "x = missing", "x = 2"]

    def test_of_numbers_is_at_quartiles(self, tmp_path):
        names, found = cut(tmp_path, [float(number) for number in range(1, 101)])

        assert names == ("x <= 25", "25 < x <= 50", "50 < x <= 75", "x > 75", "x = missing")
        assert [found.count(name) for name in names] == [25, 25, 25, 25, 0]

    def test_of_numbers_that_are_mostly_one(self, tmp_path):
        names, found = cut(tmp_path, [0] * 90 + list(range(1, 21)))

        assert names == ("x <= 0", "x > 0", "x = missing")
        assert found.count("x <= 0") == 90

    def test_of_booleans(self, tmp_path):
        assert cut(tmp_path, [0, 1, None], "boolean")[1] == ["x = false", "x = true", "x = missing"]

    @pytest.mark.parametrize(
        ("first", "last", "names"),
        [
            ("2024-01-31T22:10", "2024-02-01T01:59", ["2024-01-31 22:00", "2024-01-31 23:00", "2024-02-01 00:00"]),
            ("2024-02-28T00:00", "2024-03-02T00:00", ["2024-02-28", "2024-02-29", "2024-03-01"]),
            ("2024-11-30T00:00", "2025-02-01T00:00", ["2024-11", "2024-12", "2025-01"]),
            ("1965-06-01T00:00", "1972-01-01T00:00", ["1965", "1966", "1967"]),
        ],
    )
    def test_of_dates_is_by_the_finest_unit_with_few_groups(self, tmp_path, first, last, names):
        found, rows = cut(tmp_path, seconds(first, last, None), "timestamp")

        assert list(found[:3]) == [f"x = {name}" for name in names]
        assert rows == [found[0], found[-2], "x = missing"]
        assert len(found) <= 13

    def test_of_dates_of_many_years_is_at_quartiles(self, tmp_path):
        found, _ = cut(tmp_path, seconds(*(f"{year}-07-01" for year in range(1900, 2000))), "date")

        assert found[0] == "x <= 1924-07-01"

    def test_of_names_of_rows_is_none(self, tmp_path, monkeypatch):
        monkeypatch.setattr(cuts, "MOST_TEXTS", 5)
        examples = write_examples(tmp_path, {"eval": table(x=[f"row {number}" for number in range(6)])})

        assert cut_columns(examples, "eval", [Column("x", "STRING")], 6, {}) == {}
        found, [note] = divide(["x"], {}, {}, 1)
        assert (found, note.code, note.column) == ([], "SLICE_TOO_MANY_VALUES", "x")

    def test_does_not_depend_on_the_batches(self, tmp_path, monkeypatch):
        values = [float(number * 7919 % 997) for number in range(997)]
        monkeypatch.setattr(cuts, "_SAMPLE", 300)
        one = cut(tmp_path / "a", values)
        monkeypatch.setattr(cuts, "_ROWS", 13)

        assert cut(tmp_path / "b", values) == one


class TestDivide:
    CUTS = {  # noqa: RUF012
        "a": cuts.Cut("a", ("a = 1", "a = 2"), len),
        "b": cuts.Cut("b", ("b = x", "b = y"), len),
    }
    CODES = {"a": np.array([0, 0, 1, 0, 1]), "b": np.array([0, 1, 0, 0, 1])}  # noqa: RUF012

    def test_by_a_pair(self):
        found, notes = divide(["a", "b"], self.CUTS, self.CODES, 1)

        assert [(one.value, one.positions.tolist()) for one in found] == [
            ("a = 1, b = x", [0, 3]),
            ("a = 1, b = y", [1]),
            ("a = 2, b = x", [2]),
            ("a = 2, b = y", [4]),
        ]
        assert notes == []

    def test_notes_groups_that_are_too_small(self):
        found, [note] = divide(["a", "b"], self.CUTS, self.CODES, 2)

        assert [one.value for one in found] == ["a = 1, b = x"]
        assert (note.code, note.column, note.count) == ("SLICE_TOO_FEW_ROWS", "a and b", 3)

    def test_keeps_the_largest_groups(self, monkeypatch):
        monkeypatch.setattr("tiffin.quality.slices.MOST_SLICES", 1)
        found, [note] = divide(["a"], self.CUTS, self.CODES, 1)

        assert [one.value for one in found] == ["a = 1"]
        assert (note.code, note.count) == ("SLICE_NOT_AMONG_LARGEST", 2)


class TestSlices:
    def rows(self, count=400):
        # In Oslo the model is right, in Rome it is a coin toss.
        labels = ["yes", "no"] * (count // 2)
        city = ["Oslo"] * (count // 2) + ["Rome"] * (count // 2)
        x = [0.9 if label == "yes" else 0.1 for label in labels[: count // 2]] + [0.5] * (count // 2)
        return table(x=x, city=city, y=labels)

    def evaluate(self, binary, tmp_path, rows=None, **options):
        examples = write_examples(tmp_path / "e", {"eval": self.rows() if rows is None else rows})
        return evaluate(binary, examples, tmp_path / "out", **options)

    def test_have_metrics_and_intervals(self, binary, tmp_path):
        found = self.evaluate(binary, tmp_path, slices=["city", ["city", "x"]])
        oslo, rome, *pairs = found.slices

        assert (oslo.columns, oslo.value, oslo.rows) == (("city",), "city = Oslo", 200)
        assert (oslo.metrics["accuracy"], rome.metrics["accuracy"]) == (1, 0.5)
        assert oslo.metrics["log_loss"] == pytest.approx(-np.log(0.9), rel=1e-5)
        assert rome.intervals["accuracy"].low < 0.5 < rome.intervals["accuracy"].high
        assert "city = Oslo, x = 0.1" in [pair.value for pair in pairs]
        # A slice with one class has no ranking.
        assert pairs[0].metrics["auc"] is None

    def test_that_do_not_meet_their_bound_are_named(self, binary, tmp_path):
        rule = {"columns": ["city"], "metric": "log_loss", "max": 0.3}
        found = self.evaluate(binary, tmp_path, gate={"slices": [rule]})
        checks = [check for check in found.checks if check.code == "SLICE"]

        assert [(check.slice, check.passed, check.bound, check.rows) for check in checks] == [
            ("city = Oslo", True, 0.3, 200),
            ("city = Rome", False, 0.3, 200),
        ]
        assert checks[1].low <= checks[1].value <= checks[1].high
        assert (found.passed, "city = Rome" in found.reason, "city = Oslo" in found.reason) == (False, True, False)

    def test_rules_apply_from_their_number_of_rows(self, binary, tmp_path):
        rule = {"columns": ["city"], "metric": "log_loss", "max": 0.3, "min_rows": 201}
        found = self.evaluate(binary, tmp_path, gate={"slices": [rule]}, slices=["city"])
        [check] = [check for check in found.checks if check.code == "SLICE"]

        assert (check.passed, check.value, check.slice) == (False, None, "city")
        assert len(found.slices) == 2

    def test_below_the_minimum_are_noted(self, binary, tmp_path):
        found = self.evaluate(binary, tmp_path, slices=["city"], min_slice_rows=201)

        assert found.slices == ()
        assert [(note.code, note.count) for note in found.notes if "SLICE" in note.code] == [
            ("SLICE_TOO_FEW_ROWS", 400)
        ]

    def test_may_be_named_as_in_the_source(self, binary, tmp_path):
        examples = write_examples(tmp_path / "e", {"eval": self.rows()})
        manifest = read_manifest(examples)
        manifest.renamed["Where?"] = "city"
        write_document(examples / "manifest.json", manifest)
        found = evaluate(binary, examples, tmp_path / "out", slices=["Where?"])

        assert [one.value for one in found.slices] == ["Where? = Oslo", "Where? = Rome"]

    @pytest.mark.parametrize(
        ("options", "values"),
        [
            ({"slices": ["citty"]}, ["slices[0]", "'citty'", "'city'"]),
            ({"slices": ["city", ["city", "y"]]}, ["slices[1]", "'y'"]),
            ({"sensitive": ["y"]}, ["sensitive[0]", "'y'"]),
            ({"sensitive": ["gender"]}, ["sensitive[0]", "'gender'", "x, city, y"]),
            (
                {"gate": {"slices": [{"columns": ["z"], "metric": "auc", "min": 0.5}]}},
                ["gate.slices[0].columns", "'z'"],
            ),
            (
                {"gate": {"fairness": [{"column": "y", "measure": "accuracy_ratio", "min": 0.5}]}},
                ["gate.fairness[0].column", "'y'"],
            ),
        ],
    )
    def test_of_a_column_that_cannot_divide_the_rows(self, binary, tmp_path, options, values):
        with pytest.raises(InputError) as error:
            self.evaluate(binary, tmp_path, **options)

        assert not [value for value in values if value not in str(error.value)], str(error.value)
        assert not (tmp_path / "out").exists()


class TestFairness:
    def groups(self, *sizes):
        starts = np.cumsum([0, *sizes])
        return [Rows(f"g = {number}", np.arange(starts[number], starts[number + 1])) for number in range(len(sizes))]

    def test_of_a_binary_model_by_hand(self):
        # Group 0: 2 of 4 are chosen, 2 of 2 positives. Group 1: 1 of 4 chosen, 1 of 2 positives.
        truth = np.array([1, 1, 0, 0, 1, 1, 0, 0])
        answer = np.array([0.9, 0.8, 0.1, 0.2, 0.9, 0.1, 0.1, 0.2])
        found = measure(Outcomes("binary", 2, truth, answer), "g", self.groups(4, 4), "seed")

        assert found.measures == {
            "demographic_parity_difference": 0.25,
            "demographic_parity_ratio": 0.5,
            "equalized_odds_difference": 0.5,
            "equalized_odds_ratio": pytest.approx(0.5),
            "equal_opportunity_difference": 0.5,
            "equal_opportunity_ratio": 0.5,
            "accuracy_difference": 0.25,
            "accuracy_ratio": 0.75,
        } | {"equalized_odds_ratio": found.measures["equalized_odds_ratio"]}
        assert found.groups[1].means == {
            "accuracy": 0.75, "selection_rate": 0.25, "true_positive_rate": 0.5, "false_positive_rate": 0.0,
        }  # fmt: skip
        assert found.intervals["demographic_parity_difference"].low <= 0.25

    def test_of_a_group_with_one_class_leaves_out_the_odds(self):
        truth = np.array([1, 0, 0, 0])
        found = measure(Outcomes("binary", 2, truth, np.array([0.9, 0.1, 0.9, 0.1])), "g", self.groups(2, 2), "seed")

        assert found.measures["demographic_parity_difference"] == 0
        assert found.measures["equalized_odds_difference"] is None
        assert found.measures["equal_opportunity_difference"] is None
        assert found.groups[1].means["true_positive_rate"] is None

    def test_of_several_classes(self):
        answer = np.eye(3)[[0, 1, 2, 0, 0, 0]] * 0.7 + 0.1
        found = measure(Outcomes("multiclass", 3, np.array([0, 1, 2, 0, 1, 2]), answer), "g", self.groups(3, 3), "seed")

        assert found.measures == {"accuracy_difference": pytest.approx(2 / 3), "accuracy_ratio": pytest.approx(1 / 3)}

    def test_of_a_regression(self):
        found = measure(
            Outcomes("regression", 0, np.array([1.0, 2, 3, 4]), np.array([2.0, 3, 3, 4.5])),
            "g",
            self.groups(2, 2),
            "seed",
        )

        assert found.measures == {"mean_prediction_difference": 1.25, "mae_difference": 0.75, "mae_ratio": 0.25}
        assert found.groups[0].means == {"mean_prediction": 2.5, "mean_label": 1.5, "mae": 1.0}

    def test_of_a_single_group_is_not_measured(self):
        found = measure(Outcomes("binary", 2, np.array([1, 0]), np.array([0.9, 0.1])), "g", self.groups(2), "seed")

        assert (set(found.measures.values()), found.intervals) == ({None}, {})

    def test_of_predictions_that_are_not_finite_is_not_measured(self):
        found = measure(
            Outcomes("binary", 2, np.array([1, 0]), np.array([np.nan, 0.1])), "g", self.groups(1, 1), "seed"
        )

        assert (set(found.measures.values()), found.groups[0].means) == ({None}, {})

    def test_is_a_rule_of_the_gate(self, binary, tmp_path):
        rows = table(x=[0.9, 0.1] * 100 + [0.1] * 200, g=["a", "b"] * 100 + ["c"] * 200, y=["yes", "no"] * 200)
        rule = {"column": "g", "measure": "demographic_parity_difference", "max": 0.2}
        examples = write_examples(tmp_path / "e", {"eval": rows})
        found = evaluate(binary, examples, tmp_path / "out", gate={"fairness": [rule]})
        [check] = [check for check in found.checks if check.code == "FAIRNESS"]

        assert (check.metric, check.slice, check.value, check.passed, check.rows) == (
            "demographic_parity_difference", "g", 1, False, 400,
        )  # fmt: skip
        assert re.search(r"demographic_parity_difference of g 1 .* 0\.2", found.reason)

    def test_of_names_of_rows_could_not_be_measured(self, binary, tmp_path):
        rows = table(x=[0.9, 0.1] * 100, g=[f"p{number}" for number in range(200)], y=["yes", "no"] * 100)
        rule = {"column": "g", "measure": "accuracy_ratio", "min": 0.8}
        examples = write_examples(tmp_path / "e", {"eval": rows})
        found = evaluate(binary, examples, tmp_path / "out", gate={"fairness": [rule]}, sensitive=["g"])

        assert (found.passed, found.checks[-1].value) == (False, None)
        assert {note.code for note in found.notes} >= {"SLICE_TOO_FEW_ROWS", "SENSITIVE_NOT_COMPARED"}
