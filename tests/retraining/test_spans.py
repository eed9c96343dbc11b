"""The newest spans of data on local disk."""

import os

import pytest

from tiffin.errors import InputError
from tiffin.retraining.spans import check_data, find_newest


@pytest.fixture
def trips(tmp_path):
    """Ten days of trips, a file each."""
    for day in range(1, 11):
        folder = tmp_path / f"day=2026-3-{day}"
        folder.mkdir()
        (folder / "trips.csv").write_text("km\n1\n")
    return tmp_path


def test_no_span(tmp_path):
    with pytest.raises(InputError, match=r"day=\{span\}"):
        find_newest(f"{tmp_path}/day={{span}}/*.csv")


def test_numbers_are_ordered_as_numbers(trips):
    found = find_newest(f"{trips}/day={{span}}/*.csv")
    assert (found.spans, found.left_out, found.files) == (("2026-3-10",), 9, 1)
    assert found.data == f"{trips}/day=2026-3-10/*.csv"
    assert find_newest(f"{trips}/day={{span}}/*.csv", 2).spans == ("2026-3-9", "2026-3-10")
    assert find_newest(f"{trips}/day={{span}}/*.csv", 99).left_out == 0


@pytest.mark.parametrize("place", ["{root}/{{span}}", "{root}/{{span}}/trips.csv", "{root}/day=2026-3-{{span}}/**/*.csv",
                                   "file://{root}/day={{span}}/*", "{root}/day=2026-[34]-{{span}}/t?ips.csv"])  # fmt: skip
def test_locations(trips, place):
    found = find_newest(place.format(root=trips))
    assert found.files == 1
    assert found.spans[0].endswith("10")


def test_a_relative_location(trips, monkeypatch):
    monkeypatch.chdir(trips.parent)
    assert find_newest(f"{trips.name}/day={{span}}/trips.csv").data == f"{trips.name}/day=2026-3-10/trips.csv"


def test_a_span_is_no_more_than_a_name(tmp_path):
    for name in ("a.b/1.csv", "a.b/deep/9.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("km\n1\n")
    assert find_newest(f"{tmp_path}/a.b/{{span}}.csv").spans == ("1",)


def test_the_digest_is_that_of_the_files(trips):
    before = find_newest(f"{trips}/day={{span}}/*.csv")
    assert find_newest(f"{trips}/day={{span}}/*.csv").digest == before.digest
    (trips / "day=2026-3-9" / "trips.csv").write_text("km\n1\n2\n")
    assert find_newest(f"{trips}/day={{span}}/*.csv").digest == before.digest
    (trips / "day=2026-3-10" / "trips.csv").write_text("km\n1\n2\n")
    assert find_newest(f"{trips}/day={{span}}/*.csv").digest != before.digest


def test_several_locations(trips):
    one = f"{trips}/day=2026-3-1/trips.csv"
    found = find_newest(f"sample:deliveries\n{one}\n{trips}/day={{span}}/*.csv")
    assert found.data.splitlines() == ["sample:deliveries", one, f"{trips}/day=2026-3-10/*.csv"]
    assert (found.files, found.spans) == (2, ("2026-3-10",))
    assert find_newest(f"{one}\nsample:deliveries").digest == find_newest(f"sample:deliveries\n{one}").digest


def test_wrong_locations(trips):
    with pytest.raises(InputError):
        check_data("a/{span}/{span}.csv")
    with pytest.raises(InputError):
        find_newest(f"{trips}/day={{span}}/*.csv", 0)
    with pytest.raises(InputError):
        find_newest(os.fspath(trips / "nothing.csv"))
