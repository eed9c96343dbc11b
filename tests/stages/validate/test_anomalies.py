"""Anomalies of random splits: none in clean data (`make bench` draws more), and one for each fault."""

import re
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, Column, read_manifest
from tiffin.stages.validate import schema, statistics
from tiffin.stages.validate.anomalies import find_anomalies

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
