"""The generated data set: deterministic, with the defects of real data."""

import csv
import re

import pytest

from tiffin.errors import InputError
from tiffin.stages.ingest import sample


def read(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


class TestWriteSample:
    @pytest.mark.parametrize("rows", [0, -1, 10**8 + 1, 10**20])
    def test_out_of_range(self, tmp_path, rows):
        with pytest.raises(InputError, match=f"100,000,000.*rows={rows:,}"):
            sample.write_sample(tmp_path / "sample.csv", rows)

        assert list(tmp_path.iterdir()) == []

    def test_of_one_row(self, tmp_path):
        sample.write_sample(tmp_path / "new" / "sample.csv", 1)
        header, row = read(tmp_path / "new" / "sample.csv")

        assert header == list(sample.COLUMNS)
        assert (row[0], len(row)) == ("D0000000", len(header))

    def test_the_same_seed_gives_the_same_bytes(self, tmp_path):
        for name, seed in (("one", 7), ("two", 7), ("three", 8)):
            sample.write_sample(tmp_path / name, 600, seed)
        one, two, three = ((tmp_path / name).read_bytes() for name in ("one", "two", "three"))

        assert one == two != three

    def test_readable_rows_are_the_same_without_unreadable_ones(self, tmp_path):
        for name, unreadable in (("some", True), ("none", False)):
            sample.write_sample(tmp_path / name, 600, unreadable=unreadable)
        some, none = read(tmp_path / "some"), read(tmp_path / "none")

        assert {len(row) for row in none} == {len(sample.COLUMNS)}
        assert [place for place, (one, other) in enumerate(zip(some, none, strict=True)) if one != other] == [251]

    def test_more_rows_start_with_the_same_rows(self, tmp_path):
        for rows in (300, 600):
            sample.write_sample(tmp_path / str(rows), rows)

        assert (tmp_path / "600").read_bytes().startswith((tmp_path / "300").read_bytes())


class TestIngested:
    @pytest.fixture
    def found(self, ingested):
        return ingested(data="sample:deliveries?rows=2000&seed=3")

    def test_one_row_in_five_hundred_is_unreadable(self, found):
        assert (found.manifest.rows, found.manifest.set_aside.rows) == (1996, 4)
        # The header is line 1.
        assert [row.line for row in found.rejected] == [252, 752, 1252, 1752]

    def test_has_missing_values_and_both_labels(self, found):
        assert set(found.types.values()) == {"INT", "FLOAT", "STRING"}
        assert 0.1 < sum(row["late"] for row in found.rows) / 1996 < 0.5
        for column, share in {"vehicle": 0.03, "weather": 0.08, "temperature_celsius": 0.05, "coupon": 0.9995}.items():
            assert abs(sum(row[column] is None for row in found.rows) / 1996 - share) < 0.02
        assert len({row["ordered_at"] for row in found.rows}) > 1900

    def test_its_uri_is_in_the_manifest(self, found):
        assert [source.uri for source in found.manifest.sources] == ["sample:deliveries?rows=2000&seed=3"]


@pytest.mark.parametrize(
    "uri",
    [
        "sample:",
        "sample:taxis",
        "sample:deliveries?rows=x",
        "sample:deliveries?rows=",
        "sample:deliveries?size=5",
        "sample:deliveries?rows=²",
    ],
)
def test_an_unknown_sample_or_option_is_an_error(ingested, uri):
    with pytest.raises(InputError, match=rf"'sample:deliveries.*'{re.escape(uri)}'"):
        ingested(data=uri)

    assert ingested.left() == []


@pytest.mark.parametrize(
    "uri",
    [
        "sample:deliveries?rows=100000001", "sample:deliveries?rows=100000000000000000000",
        f"sample:deliveries?rows={'9' * 5000}",
        f"sample:deliveries?rows=5&seed={'9' * 5000}",
    ],
)  # fmt: skip
def test_a_sample_of_unbounded_size_is_refused(ingested, uri):
    with pytest.raises(InputError, match=r"rows") as raised:
        ingested(data=uri)

    assert (len(str(raised.value)) < 1_000, ingested.left()) == (True, [])


def test_a_label_is_checked_before_the_rows_are_generated(ingested):
    with pytest.raises(InputError, match="label='nope'"):
        ingested(data="sample:deliveries?rows=0", label="nope")
    with pytest.raises(InputError, match="rows=0"):
        ingested(data="sample:deliveries?rows=0", label="late")
