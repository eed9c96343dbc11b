"""The wait for a gateway; the drives of test_driving.py have the servers."""

from pathlib import Path

import pytest

from tiffin.errors import ServingError
from tiffin.gateway.applied import State
from tiffin.rollout.places import Places, wait_for_gateway
from tiffin.serving.root import ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


def places(states: list[State | Exception]) -> Places:
    """Places with a gateway that has a state, or an error, for each time that it is asked; the last one stays."""

    def divide(*_: str) -> State:
        state = states.pop(0) if len(states) > 1 else states[0]
        if isinstance(state, Exception):
            raise state
        return state

    return Places("", "", "gateways:8500", "", divide=divide)


def test_a_gateway_that_follows(taxi: ServedModel) -> None:
    states: list[State | Exception] = ["pending", ServingError("away"), "silent", "applied"]

    assert wait_for_gateway(taxi, places(states), 10)


def test_a_gateway_that_sends_requests_as_before(taxi: ServedModel) -> None:
    states: list[State | Exception] = ["pending"]
    lines: list[str] = []

    assert not wait_for_gateway(taxi, places(states), 0.2, lines.append)
    assert len(lines) == 1


def test_a_gateway_that_cannot_be_changed(taxi: ServedModel) -> None:
    states: list[State | Exception] = [ServingError("away")]
    lines: list[str] = []

    assert not wait_for_gateway(taxi, places(states), 0.2, lines.append)
    assert "away" in lines[0]


def test_a_gateway_that_does_not_answer(taxi: ServedModel) -> None:
    states: list[State | Exception] = ["silent"]
    lines: list[str] = []

    assert wait_for_gateway(taxi, places(states), 0.2, lines.append)
    assert "gateways:8500" in lines[0]
