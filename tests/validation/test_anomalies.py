"""Anomalies of random splits: none in clean data (`make bench` draws more), and one for each fault."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.validation import schema, statistics
from tiffin.validation.anomalies import find_anomalies

ROWS = 600
DRAWS = 25


@pytest.fixture(scope="module")
def clean():
    generator = np.random.default_rng(7)

    def some(values, share):
        return [
            None if missing else value for value, missing in zip(values, generator.random(ROWS) < share, strict=True)
        ]

    outlier = generator.normal(size=ROWS)
    outlier[0] = 1e9
    names = [f"name {row}" for row in range(ROWS)]
    return table(
        lognormal=generator.lognormal(sigma=2.0, size=ROWS).tolist(),
        pareto=(generator.pareto(0.8, ROWS) + 1).tolist(),
        outlier=outlier.tolist(),
        cars=[2 if row < 3 else row % 2 for row in range(ROWS)],
        mostly_zero=[row if row % 5 == 0 else 0 for row in range(ROWS)],
        zipf=[f"z{value}" for value in generator.zipf(1.5, ROWS)],
        city=[f"c{value % 40}" for value in generator.zipf(1.5, ROWS)],
        kind=[f"k{value}" for value in generator.integers(0, 4, ROWS)],
        remark=some(names, 0.97),
        title=names,
        id=list(range(10_000_000, 10_000_000 + ROWS)),
        rare=[1.5 if row < 2 else None for row in range(ROWS)],
        gaps=some(range(1, ROWS + 1), 0.0125),
        half=some(range(1, ROWS + 1), 0.5),
    )


@pytest.fixture(scope="module")
def found(clean, tmp_path_factory):
    """Statistics of every draw."""
    generator = np.random.default_rng(8)
    found = []
    for _ in range(DRAWS):
        order = pa.array(generator.permutation(ROWS))
        splits = {"train": clean.take(order[: ROWS * 2 // 3]), "eval": clean.take(order[ROWS * 2 // 3 :])}
        found.append(statistics.compute(write_examples(tmp_path_factory.mktemp("examples"), splits)))
    return found


def test_of_clean_data_are_valid(found):
    stopped = [anomalies for one in found if (anomalies := find_anomalies(one, schema.infer(one), "train"))]

    assert not stopped


@pytest.mark.parametrize(
    ("column", "factor"),
    [
        *((name, 10) for name in ("lognormal", "pareto", "outlier", "cars", "mostly_zero", "id", "gaps", "half")),
        *((name, 0.1) for name in ("lognormal", "pareto", "outlier")),
    ],
)
def test_a_changed_unit_is_found(clean, found, tmp_path, column, factor):
    values = [value and value * factor for value in clean[column].to_pylist()]
    [anomaly] = check(clean.set_column(clean.column_names.index(column), column, [values]), found[0], tmp_path)

    assert (anomaly.column, anomaly.code) == (column, "UNEXPECTED_MAGNITUDE")


@pytest.mark.parametrize("column", ["kind", "city"])
def test_a_new_category_in_10_percent_is_found(clean, found, tmp_path, column):
    values = ["astronaut" if row % 10 == 0 else value for row, value in enumerate(clean[column].to_pylist())]
    [anomaly] = check(clean.set_column(clean.column_names.index(column), column, [values]), found[0], tmp_path)

    assert (anomaly.column, anomaly.code) == (column, "ENUM_TYPE_UNEXPECTED_STRING_VALUES")
    assert re.match("'astronaut' in 10 %.*eval", anomaly.summary)


@pytest.mark.parametrize("column", ["lognormal", "kind", "gaps", "id"])
def test_a_column_that_is_missing_or_gone_is_found(clean, found, tmp_path, column):
    values = [None if row % 5 == 0 else value for row, value in enumerate(clean[column].to_pylist())]
    fewer = clean.set_column(clean.column_names.index(column), column, [values])

    [anomaly] = check(fewer, found[0], tmp_path / "fewer")
    assert (anomaly.column, anomaly.code) == (column, "FEATURE_TYPE_LOW_FRACTION_PRESENT")
    [anomaly] = check(clean.drop([column]), found[0], tmp_path / "gone")
    assert (anomaly.column, anomaly.code) == (column, "SCHEMA_MISSING_COLUMN")


def check(rows, found, folder):
    return find_anomalies(statistics.compute(write_examples(folder, {"eval": rows})), schema.infer(found))


def test_dates_of_another_period_are_valid(tmp_path):
    def compute(start):
        rows = table(day=[start + 86_400 * row for row in range(300)])
        folder = write_examples(tmp_path / str(start), {"train": rows})
        documents.write(folder / MANIFEST, replace(read_manifest(folder), columns=(Column("day", "INT", "date"),)))
        return statistics.compute(folder)

    assert find_anomalies(compute(1_700_000_000), schema.infer(compute(100_000_000))) == []


class TestOneFrequentNewValue:
    """A value in 10 % of one split and in no row of train, in columns where many rare values differ between any two splits."""

    ROWS = 3000

    @pytest.fixture
    def splits(self):
        generator = np.random.default_rng(9)
        words = [f"c{value}" for value in generator.zipf(1.6, self.ROWS)]
        rare = [f"rare {row}" if row % 5 == 0 else f"c{row % 7}" for row in range(self.ROWS)]
        return self.split(table(zipf=words, rare=rare, n=list(range(self.ROWS))), 0)

    def split(self, rows, seed):
        order = pa.array(np.random.default_rng(seed).permutation(rows.num_rows))
        cut = rows.num_rows * 2 // 3
        return {"train": rows.take(order[:cut]), "eval": rows.take(order[cut:])}

    def put(self, splits, column, every, word="astronaut"):
        values = [word if row % every == 0 else value for row, value in enumerate(splits["eval"][column].to_pylist())]
        index = splits["eval"].column_names.index(column)
        return {**splits, "eval": splits["eval"].set_column(index, column, [values])}

    def find(self, splits, folder, given=False, key=""):
        examples = write_examples(folder, splits)
        documents.write(examples / MANIFEST, replace(read_manifest(examples), key=key))
        found = statistics.compute(examples)
        return find_anomalies(found, schema.infer(found), "" if given else "train")

    @pytest.mark.parametrize("column", ["zipf", "rare"])
    def test_is_found_in_spite_of_many_rare_values(self, splits, tmp_path, column):
        [anomaly] = self.find(self.put(splits, column, 10), tmp_path)

        assert (anomaly.split, anomaly.column) == ("eval", column)
        assert anomaly.summary.startswith("'astronaut' in 10 %")

    @pytest.mark.parametrize("rows", [300, 360, 450])
    def test_is_found_in_small_splits(self, tmp_path, rows):
        words = table(word=[f"w{row % 8}" if row % 6 else f"r{row}" for row in range(rows)])
        [anomaly] = self.find(self.put(self.split(words, 1), "word", 10), tmp_path)

        assert (anomaly.column, anomaly.code) == ("word", "FREQUENT_NEW_VALUE")
        assert re.match("'astronaut' in 10 % of eval.*train", anomaly.summary)
        assert "'r0'" in anomaly.description

    @pytest.mark.parametrize(("rows", "told"), [(600, "no row of train"), (6000, r"at most \d rows of train")])
    def test_is_found_in_free_text(self, tmp_path, rows, told):
        splits = self.put(self.split(table(word=[f"title {row}" for row in range(rows)]), 1), "word", 10)
        [anomaly] = self.find(splits, tmp_path)

        assert (anomaly.column, anomaly.code) == ("word", "FREQUENT_NEW_VALUE")
        assert re.fullmatch(f"'astronaut' in 10 % of eval, .*{told}", anomaly.summary)

    def test_may_be_a_value_that_the_statistics_of_free_text_do_not_list(self, tmp_path):
        words = [f"w{row % 1100}" for row in range(7700)]
        [train] = statistics.compute(write_examples(tmp_path / "train", {"train": table(word=words)})).datasets
        buckets = train.features[0].string_stats.rank_histogram.buckets
        listed = [bucket.label for bucket in buckets]
        unlisted = min(set(words) - set(listed))
        splits = {"train": table(word=words), "eval": table(word=[unlisted] * 3 + listed[:37])}

        assert len(listed) == 1000
        assert self.find(splits, tmp_path / "both") == []

    def test_is_told_once(self, tmp_path):
        words = table(word=[f"w{row % 4}" for row in range(900)])
        found = self.find(self.put(self.split(words, 1), "word", 4), tmp_path)

        assert [anomaly.code for anomaly in found] == ["ENUM_TYPE_UNEXPECTED_STRING_VALUES"]

    def test_may_be_in_5_percent(self, splits, tmp_path):
        assert self.find(self.put(splits, "rare", 20), tmp_path) == []

    def test_of_few_rows_may_be_chance(self, tmp_path):
        words = table(word=[f"w{row % 10}" for row in range(60)])
        splits = self.put(self.split(words, 1), "word", 10)

        assert self.find(splits, tmp_path) == []

    def test_is_judged_by_a_given_schema_alone(self, splits, tmp_path):
        assert self.find(self.put(splits, "rare", 10), tmp_path, given=True) == []

    def test_may_be_that_of_a_group_of_a_key(self, tmp_path):
        words = table(
            shop=[row // 10 for row in range(600)], word=[f"w{row % 8}" if row % 6 else f"r{row}" for row in range(600)]
        )
        splits = {"train": words.slice(0, 400), "eval": words.slice(400)}

        assert self.find(self.put(splits, "word", 10), tmp_path, key="shop") == []

    def test_is_seldom_found_in_clean_data(self, tmp_path):
        generator = np.random.default_rng(10)
        rows = table(
            **{f"zipf{n}": [f"c{value}" for value in generator.zipf(1.2 + n / 5, 240)] for n in range(4)},
            tens=[f"t{row // 10}" for row in range(240)],
            dozens=[f"d{row // 12}" for row in range(240)],
            ids=[f"i{row}" for row in range(240)],
            pairs=[f"p{row // 2}" for row in range(240)],
        )
        found = [self.find(self.split(rows, seed), tmp_path / str(seed)) for seed in range(60)]

        assert [anomalies for anomalies in found if anomalies] == []
