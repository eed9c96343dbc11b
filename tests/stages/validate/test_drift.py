"""Compare examples with a baseline: an artifact, kept statistics, or a model's reference."""

import pytest

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.drift import read_drift
from tiffin.artifacts.statistics import write_statistics
from tiffin.errors import InputError
from tiffin.stages.validate.drift import Baseline, compare_with_baseline
from tiffin.validation.statistics import compute

BEFORE = table(city=["Oslo"] * 60 + ["Rome"] * 40, km=[1.0, 2.0] * 50)
NOW = table(city=["Oslo"] * 20 + ["Rome"] * 80, km=[1.0, 2.0] * 50)
NONE = table(city=[], km=[])


@pytest.fixture
def statistics(tmp_path):
    """Return a function that writes the statistics of rows."""

    def write(rows, name):
        folder = write_examples(tmp_path / f"{name} examples", {"train": rows})
        write_statistics(tmp_path / name, compute(folder))
        return tmp_path / name

    return write


@pytest.fixture
def rows(tmp_path):
    """Return a function that writes examples."""
    return lambda table, name: write_examples(tmp_path / f"{name} rows", {"train": table}, f"of {name}")


@pytest.fixture
def compared(tmp_path):
    """Return a function that compares statistics with a baseline."""

    def run(ours, baseline, **options):
        return compare_with_baseline(ours, tmp_path / "drift", tmp_path / "drift.md", baseline, **options)

    return run


def test_no_rows(statistics, compared):
    found = compared(statistics(NONE, "now"), Baseline(str(statistics(BEFORE, "before"))))
    assert (found.drifted, found.rows, found.rows_before) == (False, 0, 100)


def test_drift_is_written_with_every_distance(statistics, compared, tmp_path):
    found = compared(statistics(NOW, "now"), Baseline(str(statistics(BEFORE, "before"))))
    assert found.drifted
    assert read_drift(tmp_path / "drift") == found
    assert [(one.column, one.drifted, len(one.distances)) for one in found.columns] == [
        ("city", True, 5),
        ("km", False, 5),
    ]
    report = (tmp_path / "drift.md").read_text()
    assert "| `city` | infinity norm | 0.4 | " in report
    assert "| Oslo | 60 % | 20 % |" in report


def test_the_same_input_gives_the_same_bytes(statistics, compared, tmp_path):
    before, now = statistics(BEFORE, "before"), statistics(NOW, "now")
    compared(now, Baseline(str(before)))
    first = [(tmp_path / name).read_bytes() for name in ("drift/drift.json", "drift.md")]
    compared(now, Baseline(str(before)))
    assert [(tmp_path / name).read_bytes() for name in ("drift/drift.json", "drift.md")] == first


def test_thresholds_of_the_schema(statistics, compared, tmp_path):
    schema = "feature { name: 'city' drift_comparator { infinity_norm { threshold: 0.5 } } }"
    (tmp_path / "schema.pbtxt").write_text(schema)
    now, before = statistics(NOW, "now"), Baseline(str(statistics(BEFORE, "before")))
    found = compared(now, before, schema=str(tmp_path / "schema.pbtxt"))
    [norm] = [one for one in found.columns[0].distances if one.measure == "infinity_norm"]
    assert (norm.threshold, norm.source, norm.drifted) == (0.5, "schema", False)
    found = compared(now, before, schema=str(tmp_path / "schema.pbtxt"), comparison="skew")
    [norm] = [one for one in found.columns[0].distances if one.measure == "infinity_norm"]
    assert (norm.threshold, norm.source, norm.drifted) == (0.1, "default", True)


def test_each_span_is_compared_with_the_one_before(statistics, compared, tmp_path):
    kept = Baseline(location=str(tmp_path / "kept"), update=True)
    first = compared(statistics(BEFORE, "first"), kept)
    assert (first.drifted, first.columns) == (False, ())
    assert [note.code for note in first.notes] == ["NO_BASELINE", "BASELINE_UPDATED"]
    assert compared(statistics(NOW, "second"), kept).drifted
    third = compared(statistics(NOW, "third"), kept)
    assert not third.drifted
    assert third.columns[0].distances[0].value == 0.0


def test_the_label_may_be_missing_on_one_side(statistics, compared):
    unlabelled = NOW.drop(["km"])
    before = Baseline(str(statistics(BEFORE, "before")))
    found = compared(statistics(unlabelled, "now"), before, label="km")
    assert [one.column for one in found.columns] == ["city"]


class TestRows:
    """Each side may be rows or statistics: a change of the shares is the same."""

    def test_no_rows(self, rows, compared):
        before = Baseline(examples=str(rows(BEFORE, "before")))
        found = compared("", before, examples=rows(NONE, "now"))
        assert (found.drifted, found.rows, found.rows_before) == (False, 0, 100)
        found = compared("", Baseline(examples=str(rows(NONE, "none"))), examples=rows(NOW, "more"))
        assert (found.drifted, found.rows, found.rows_before) == (False, 100, 0)

    @pytest.mark.parametrize("before", ["rows", "statistics"])
    @pytest.mark.parametrize("now", ["rows", "statistics"])
    def test_both_forms(self, rows, statistics, compared, before, now, tmp_path):
        if before == "rows":
            baseline = Baseline(examples=str(rows(BEFORE, "before")))
        else:
            baseline = Baseline(str(statistics(BEFORE, "before")))
        ours = {"examples": rows(NOW, "now")} if now == "rows" else {}
        found = compared("" if ours else statistics(NOW, "now"), baseline, **ours)
        assert read_drift(tmp_path / "drift") == found
        assert (found.baseline_form, found.current_form) == (before, now)
        assert found.baseline_version == ("of before" if before == "rows" else "")
        assert (found.rows_before, found.rows, found.drifted) == (100, 100, True)
        city, km = ({one.measure: one.value for one in column.distances} for column in found.columns)
        assert city == pytest.approx({
            "jensen_shannon": 0.124511, "population_stability_index": 0.700663, "infinity_norm": 0.4, "new_share": 0,
            "missing_share": 0,
        }, abs=1e-6)  # fmt: skip
        assert list(km.values()) == pytest.approx([0] * 5, abs=1e-12)
        assert "| Oslo | 60 % | 20 % |" in (tmp_path / "drift.md").read_text()

    def test_statistics_kept_at_a_location(self, rows, statistics, compared, tmp_path):
        kept = str(tmp_path / "kept")
        compared(statistics(BEFORE, "first"), Baseline(location=kept, update=True))
        assert compared("", Baseline(location=kept), examples=rows(NOW, "now")).drifted

    def test_the_same_rows_give_the_same_bytes(self, rows, compared, tmp_path):
        before, now = rows(BEFORE, "before"), rows(NOW, "now")
        written = []
        for _ in range(2):
            compared("", Baseline(examples=str(before)), examples=now)
            written.append([(tmp_path / name).read_bytes() for name in ("drift/drift.json", "drift.md")])
        assert written[0] == written[1]


class TestWrongInput:
    @pytest.mark.parametrize(
        "baseline",
        [
            Baseline(), Baseline("a", "b"), Baseline("a", examples="c"), Baseline(location="b", examples="c"),
            Baseline("a", update=True), Baseline(examples="c", update=True),
        ],
    )  # fmt: skip
    def test_one_baseline(self, statistics, compared, baseline):
        with pytest.raises(InputError, match="baseline"):
            compared(statistics(NOW, "now"), baseline)

    @pytest.mark.parametrize(("ours", "examples", "received"), [("", "", "neither"), ("a", "b", "both")])
    def test_statistics_or_rows(self, compared, ours, examples, received):
        with pytest.raises(InputError, match=f"statistics.*examples.*{received}"):
            compared(ours, Baseline("c"), examples=examples)

    def test_rows_cannot_replace_the_statistics_of_the_baseline(self, rows, compared, tmp_path):
        with pytest.raises(InputError, match=r"update_baseline.*statistics.*examples"):
            compared("", Baseline(location=str(tmp_path / "kept"), update=True), examples=rows(NOW, "now"))

    def test_nothing_at_the_location(self, statistics, compared, tmp_path):
        with pytest.raises(InputError, match="update_baseline"):
            compared(statistics(NOW, "now"), Baseline(location=str(tmp_path / "none")))

    def test_another_file_at_the_location(self, statistics, compared, tmp_path):
        (tmp_path / "notes.binpb").write_text("no statistics")
        with pytest.raises(InputError, match="DatasetFeatureStatisticsList"):
            compared(statistics(NOW, "now"), Baseline(location=str(tmp_path / "notes.binpb")))

    def test_unknown_split(self, statistics, compared):
        now = statistics(NOW, "now")
        with pytest.raises(InputError, match="baseline_split='tran'"):
            compared(now, Baseline(str(now), split="tran"))

    def test_unknown_split_of_rows(self, rows, compared):
        now = rows(NOW, "now")
        with pytest.raises(InputError, match=" split='tran'"):
            compared("", Baseline(examples=str(now)), examples=now, split="tran")
        with pytest.raises(InputError, match="baseline_split='tran'"):
            compared("", Baseline(examples=str(now), split="tran"), examples=now)

    def test_nothing_is_written_without_a_comparison(self, statistics, compared, tmp_path):
        with pytest.raises(InputError, match="level"):
            compared(statistics(NOW, "now"), Baseline(str(statistics(BEFORE, "before"))), level=2)
        assert not (tmp_path / "drift").exists()


def test_a_reference_has_the_importance_of_columns(statistics, compared, tmp_path):
    from support.documents import make_evaluation, make_training
    from tiffin.artifacts.measures import Attribution, Attributions
    from tiffin.artifacts.model import write_training
    from tiffin.artifacts.verdict import write_evaluation

    before = statistics(BEFORE, "before")
    columns = (Attribution("km", 0.9), Attribution("city", 0.1))
    write_evaluation(before, make_evaluation(attributions=Attributions(100, columns)))
    write_training(before, make_training(data_version="d7"))
    found = compared(statistics(NOW, "now"), Baseline(str(before)))
    assert (found.drifted, found.baseline_version) == (False, "d7")
    assert [(one.column, one.importance, one.counts) for one in found.columns] == [
        ("city", 0.1, False),
        ("km", 0.9, True),
    ]
    assert documents.to_json(found)["notes"][0]["code"] == "UNIMPORTANT_DRIFT"
