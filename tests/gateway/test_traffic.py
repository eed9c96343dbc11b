from pathlib import Path

import pytest

from tiffin.errors import Conflict, InputError
from tiffin.gateway.traffic import Traffic, check_traffic
from tiffin.gateway.traffic_document import parse_traffic, read_traffic, write_traffic
from tiffin.serving.root import TRAFFIC, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path), "taxi")


def test_without_a_file_all_requests_go_to_stable(taxi: ServedModel) -> None:
    assert read_traffic(taxi) == Traffic(None, 0, 0, "")


@pytest.mark.parametrize(
    ("weight", "parts"), [(0, (10_000, 0)), (0.01, (9_999, 1)), (5, (9_500, 500)), (100, (0, 10_000))]
)
def test_shares_are_parts_of_ten_thousand(weight: float, parts: tuple[int, int]) -> None:
    assert Traffic(2, weight).parts == parts


@pytest.mark.parametrize("traffic", [Traffic(), Traffic(2), Traffic(2, 5, 0, "x-user"), Traffic(2, mirror=12.5)])
def test_written_traffic_is_read_back(taxi: ServedModel, traffic: Traffic) -> None:
    write_traffic(taxi, traffic, None)

    assert read_traffic(taxi) == traffic


@pytest.mark.parametrize(
    ("traffic", "named"),
    [
        (Traffic(2, weight=-1), "weight=-1"),
        (Traffic(2, weight=100.5), "weight=100.5"),
        (Traffic(2, weight=float("nan")), "weight=nan"),
        (Traffic(2, mirror=101), "mirror=101"),
        (Traffic(None, weight=5), "weight=5"),
        (Traffic(None, mirror=5), "mirror=5"),
        (Traffic(2, weight=5, mirror=5), "weight=5, mirror=5"),
        (Traffic(2, weight=5, sticky="X User"), "sticky='X User'"),
    ],
)
def test_invalid_traffic(taxi: ServedModel, traffic: Traffic, named: str) -> None:
    with pytest.raises(InputError, match=named):
        check_traffic(traffic)
    with pytest.raises(InputError):
        write_traffic(taxi, traffic, None)
    assert taxi.read(TRAFFIC) is None


@pytest.mark.parametrize("content", [b"", b"[]", b'{"weight": "5"}', b'{"weight": 5, "mirror": 0, "sticky": ""}'])
def test_a_file_that_is_no_traffic(content: bytes) -> None:
    with pytest.raises(InputError):
        parse_traffic((content, "1"), TRAFFIC)


def test_a_change_of_an_older_state_is_refused(taxi: ServedModel) -> None:
    before = taxi.read(TRAFFIC)
    write_traffic(taxi, Traffic(2, 5), before)

    with pytest.raises(Conflict):
        write_traffic(taxi, Traffic(2, 10), before)
    assert read_traffic(taxi).weight == 5
