"""Validation of an examples artifact: the verdict, its reason and the artifacts written."""

import pytest

from support.written import table, write_examples
from tiffin.artifacts.anomalies import Anomalies, read_anomalies
from tiffin.artifacts.schema import write_schema
from tiffin.errors import DataError, InputError
from tiffin.stages.validate import schema, statistics
from tiffin.stages.validate.validation import validate


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
        places = [self.folder / name for name in ("statistics", "schema", "anomalies", "report.md")]
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
            "anomalies", "report.md", "schema", "statistics",
        ]  # fmt: skip

    def test_a_split_without_rows_is_an_anomaly(self, validated):
        valid, reason = validated({"train": rows(100), "eval": rows(0)})

        [anomaly] = validated.anomalies.anomalies
        assert not valid
        assert (anomaly.split, anomaly.column, anomaly.code) == ("eval", "", "NO_EXAMPLES")
        assert reason.startswith("1 anomaly ")
        assert f"eval: split: {anomaly.summary}" in reason

    def test_new_words_in_eval_are_an_anomaly(self, validated):
        valid, reason = validated({"train": rows(100), "eval": rows(50, word="new")})

        assert not valid
        assert "eval: word: " in reason
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
        assert "| fare | FLOAT | 0.0% | | 0.75 | 0.559017 | 0 | " in report
        assert "| word | BYTES | 0.0% | 2 | | | | | | y (2), x (2) |" in report or "x (2), y (2)" in report

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
    def test_an_invalid_label_writes_nothing(self, validated, label, late, error, message):
        with pytest.raises(error, match=message):
            validated({"train": rows(2, late=late)}, label)

        assert [name for name in validated.left() if not name.startswith("examples")] == []


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
            (rows(60).set_column(0, "fare", [[None, *[0.5] * 59]]), "FEATURE_TYPE_LOW_FRACTION_PRESENT", "fare"),
            (rows(60, word="z"), "ENUM_TYPE_UNEXPECTED_STRING_VALUES", "word"),
        ],
    )
    def test_other_examples_have_anomalies(self, validated, expected, changed, code, column):
        valid, reason = validated({"train": changed}, expected=expected)
        found = [(anomaly.column, anomaly.code) for anomaly in validated.anomalies.anomalies]

        assert not valid
        assert reason.startswith(f"{len(found)} anomal")
        assert f"train: {column}: " in reason
        assert (column, code) in found
        assert column in (validated.folder / "report.md").read_text().split("## train")[0]

    def test_the_reason_lists_three_anomalies(self, validated, expected):
        wide = rows(60)
        for number in range(6):
            wide = wide.append_column(f"new{number}", [list(range(60))])
        _, reason = validated({"train": wide}, expected=expected)

        assert (reason.count(";"), reason.rsplit(" ", 2)[1]) == (3, "3")
        assert len(validated.anomalies.anomalies) == 6

    def test_an_unreadable_schema_writes_nothing(self, validated, tmp_path):
        (tmp_path / "broken").write_text("feature {")
        with pytest.raises(InputError, match=r"broken'.*tensorflow\.metadata\.v0\.Schema"):
            validated({"train": rows(10)}, expected=tmp_path / "broken")

        assert not (validated.folder / "anomalies").exists()
