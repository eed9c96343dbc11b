"""Validation of an examples artifact: the verdict, its reason and the artifacts written."""

import re
from dataclasses import replace

import pytest

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import Anomalies, read_anomalies
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.schema import write_schema
from tiffin.errors import DataError, InputError
from tiffin.stages.validate.validation import validate
from tiffin.validation import schema, statistics


def rows(count, word="x", late=None):
    return table(
        fare=[row / 2 for row in range(count)],
        word=[word if row % 2 else "y" for row in range(count)],
        late=late or [row % 2 for row in range(count)],
    )


class Validation:
    def __init__(self, folder):
        self.folder = folder

    def __call__(self, splits, label="late", expected=""):
        examples = write_examples(self.folder / "examples", splits)
        places = [self.folder / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")]
        found = validate(examples, *places, label, str(expected))
        assert found == self.anomalies
        return found.valid, found.reason

    @property
    def anomalies(self):
        return read_anomalies(self.folder / "anomalies")

    def left(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture
def validated(tmp_path):
    return Validation(tmp_path)


@pytest.fixture
def expected(tmp_path):
    """The path of a schema to validate against."""
    examples = write_examples(tmp_path / "earlier", {"train": rows(100)})
    write_schema(tmp_path / "expected", schema.infer(statistics.compute(examples), "late"))
    return next((tmp_path / "expected").iterdir())


class TestInferred:
    def test_good_examples_are_valid(self, validated):
        valid, reason = validated({"train": rows(100), "eval": rows(50)})

        assert valid
        assert validated.anomalies == Anomalies(True, reason, ())
        assert [name.split("/")[0] for name in validated.left() if not name.startswith("examples")] == [
            "anomalies", "drift", "report.md", "schema", "statistics",
        ]  # fmt: skip

    def test_a_split_without_rows_is_an_anomaly(self, validated):
        valid, reason = validated({"train": rows(100), "eval": rows(0)})

        [anomaly] = validated.anomalies.anomalies
        assert not valid
        assert (anomaly.split, anomaly.column, anomaly.code) == ("eval", "", "NO_EXAMPLES")
        assert reason.startswith("1 anomaly ")
        assert anomaly.summary in reason
        assert "splits" in reason

    def test_new_words_in_eval_are_an_anomaly(self, validated):
        valid, reason = validated({"train": rows(100), "eval": rows(50, word="new")})

        assert not valid
        assert re.search(r"'word': 'new' in 50 % of eval.*train.*5 %.*expected_schema", reason)
        assert [found.code for found in validated.anomalies.anomalies] == ["ENUM_TYPE_UNEXPECTED_STRING_VALUES"]

    def test_one_percent_new_words_are_valid(self, validated):
        train = rows(100)
        words = ["new", *(["x", "y"] * 50)[1:]]
        eval_ = train.set_column(1, "word", [words])

        assert validated({"train": train, "eval": eval_})[0]

    def test_the_report_has_the_statistics(self, validated):
        validated({"train": rows(4)})
        report = (validated.folder / "report.md").read_text()

        assert "## train: 4 rows" in report
        # 0, 0.5, 1, 1.5: mean 0.75, standard deviation sqrt(0.3125)
        assert "| `fare` | float | 0 % | | 0.75 | 0.559017 | 0 | " in report
        assert "| `word` | text | 0 % | 2 | | | | | | y (2), x (2) |" in report or "x (2), y (2)" in report

    def test_two_runs_write_the_same_bytes(self, validated):
        written = []
        for _ in range(2):
            validated({"train": rows(100), "eval": rows(50)})
            written.append({name: (validated.folder / name).read_bytes() for name in validated.left()})

        assert written[0] == written[1]

    @pytest.mark.parametrize(
        ("label", "late", "error", "message"),
        [
            ("lat", [0, 1], InputError, r"label='lat'.*'late'"),
            ("late", [1, 1], DataError, r"label='late'.* 1 .*'train'"),
        ],
    )
    def test_an_invalid_label_writes_no_verdict(self, validated, label, late, error, message):
        with pytest.raises(error, match=message):
            validated({"train": rows(2, late=late)}, label)

        # The statistics do not depend on the label.
        assert [name for name in validated.left() if not name.startswith("examples")] == ["statistics/statistics.binpb"]


class TestGiven:
    def test_matching_examples_are_valid(self, validated, expected):
        assert validated({"train": rows(60)}, expected=expected)[0]
        assert (validated.folder / "schema" / expected.name).read_bytes() == expected.read_bytes()

    @pytest.mark.parametrize(
        ("changed", "code", "column"),
        [
            (rows(60).drop(["fare"]), "SCHEMA_MISSING_COLUMN", "fare"),
            (rows(60).append_column("tip", [list(range(60))]), "SCHEMA_NEW_COLUMN", "tip"),
            (rows(60).set_column(0, "fare", [["much"] * 60]), "UNEXPECTED_DATA_TYPE", "fare"),
            (rows(60).set_column(0, "fare", [[None] * 20 + [25.5] * 40]), "FEATURE_TYPE_LOW_FRACTION_PRESENT", "fare"),
            (rows(60, word="z"), "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "word"),
        ],
    )
    def test_other_examples_have_anomalies(self, validated, expected, changed, code, column):
        valid, reason = validated({"train": changed}, expected=expected)
        found = [(anomaly.column, anomaly.code) for anomaly in validated.anomalies.anomalies]

        assert not valid
        assert reason.startswith(f"{len(found)} anomal")
        assert f"'{column}': " in reason
        assert f"'{expected}'" in reason
        assert (column, code) in found
        assert column in (validated.folder / "report.md").read_text().split("## train")[0]

    def test_the_reason_lists_three_anomalies(self, validated, expected):
        wide = rows(60)
        for number in range(6):
            wide = wide.append_column(f"new{number}", [list(range(60))])
        _, reason = validated({"train": wide}, expected=expected)

        assert [f"'new{number}'" in reason for number in range(6)] == [True] * 3 + [False] * 3
        assert "; and 3 more" in reason
        assert len(validated.anomalies.anomalies) == 6

    def test_an_unreadable_schema_writes_nothing(self, validated, tmp_path):
        (tmp_path / "broken").write_text("feature {")
        with pytest.raises(InputError, match=r"broken'.*tensorflow\.metadata\.v0\.Schema"):
            validated({"train": rows(10)}, expected=tmp_path / "broken")

        assert not (validated.folder / "anomalies").exists()

    def test_a_rule_that_is_not_checked_writes_nothing(self, validated, tmp_path):
        (tmp_path / "s.pbtxt").write_text("feature { name: 'word' type: BYTES drift_comparator {} }")
        with pytest.raises(InputError, match=r"s\.pbtxt'.*drift_comparator.*'word'"):
            validated({"train": rows(10)}, expected=tmp_path / "s.pbtxt")

        assert not (validated.folder / "anomalies").exists()


class TestTypes:
    """Columns whose type is not that of the given schema."""

    @pytest.fixture
    def check(self, validated, tmp_path):
        def check(rules, values):
            (tmp_path / "s.pbtxt").write_text(
                f"feature {{ name: 'x' {rules} }} string_domain {{ name: 'd' value: 'a' }}"
            )
            return validated({"train": table(x=values)}, "", tmp_path / "s.pbtxt")

        return check

    @pytest.mark.parametrize(
        ("rules", "values"),
        [
            ("type: FLOAT", [1, 2, 3]),
            ("type: FLOAT presence { min_fraction: 0.5 } float_domain { max: 3 }", [1, 2, None]),
            ("type: INT", [None, None]),
            ("type: FLOAT presence { min_count: 0 }", [None, None]),
            ("type: BYTES domain: 'd'", [None, None]),
            ("type: INT bool_domain {}", [0, 1]),
            ("type: BYTES bool_domain { true_value: 'y' false_value: 'n' }", ["y", "n"]),
        ],
    )
    def test_that_fit_are_valid(self, check, rules, values):
        assert check(rules, values) == (True, "No anomalies.")

    @pytest.mark.parametrize(
        ("rules", "values", "found"),
        [
            ("type: BYTES", [60601, 60602], "60601.*60602"),
            ("type: INT", [1.5, 2.0], r"1\.5.*2"),
            ("type: INT", ["much", "1"], "'much' in 50 %.*train"),
            ("type: FLOAT", ["1", "2"], "'1' in 50 %|'2' in 50 %"),
            ("type: FLOAT float_domain { max: 3 }", [1, 4], "4.*3"),
            ("type: INT int_domain { min: 0 }", [-1, 4], "-1.*0"),
            ("type: INT bool_domain {}", [0, 2], "2.*0.*1"),
            ("type: BYTES bool_domain { true_value: 'y' false_value: 'n' }", ["y", "maybe"], "'maybe' in 50 %"),
            ("type: BYTES domain: 'd'", ["a", "b"], "'b' in 50 %.*train"),
            ("type: INT presence { min_fraction: 0.9 }", [1, 1, 1, None], "25 %.*train.*10 %"),
            ("type: INT presence { min_count: 1 }", [None, None], "every row.*train"),
            ("type: BYTES unique_constraints { min: 3 max: 4 }", ["a", "b"], "2.*3.*4"),
            ("type: INT value_count { min: 2 max: 3 }", [1, 2], "1.*2.*3"),
            ("type: INT } dataset_constraints { min_examples_count: 9", [1, 2], "2 rows.*9"),
            ("type: INT annotation { tag: 'median_magnitude 5 to 9' }", [1, 2, 2], "2.*5.*9"),
        ],
    )
    def test_that_do_not_fit_are_told_with_their_values(self, check, rules, values, found):
        valid, reason = check(rules, values)

        assert not valid
        assert re.search(found, reason)
        assert not re.search("Non-boolean|Column dropped|Unexpected|[A-Z]+_[A-Z]+", reason.replace("s.pbtxt", ""))

    def test_the_parameter_that_keeps_text_is_named(self, check, validated):
        check("type: BYTES", [60601, 60602])

        [anomaly] = validated.anomalies.anomalies
        assert (anomaly.code, anomaly.column) == ("UNEXPECTED_DATA_TYPE", "x")
        assert 'types={"x": "text"}' in anomaly.description


def test_names_are_those_of_the_data(validated):
    splits = {"train": rows(100), "eval": rows(50, word="new")}
    folder = write_examples(validated.folder / "examples", splits)
    manifest = replace(read_manifest(folder), renamed={"Wort %": "word"}, notes=(Note("RENAMED", "Renamed.", "word"),))
    documents.write(folder / MANIFEST, manifest)
    places = [validated.folder / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")]
    found = validate(folder, *places, "late")
    report = (validated.folder / "report.md").read_text()

    assert "'Wort %': 'new'" in found.reason
    assert [anomaly.column for anomaly in found.anomalies] == ["word"]
    assert "| Renamed. | Wort % | | |" in report
    assert "`word`" not in report


def test_with_a_key_the_reason_names_it(validated):
    folder = write_examples(validated.folder / "examples", {"train": rows(100), "eval": rows(50, word="new")})
    documents.write(folder / MANIFEST, replace(read_manifest(folder), key="fare"))
    places = [validated.folder / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")]

    assert re.search(r"key='fare'.*exclude.*expected_schema", validate(folder, *places, "late").reason)
