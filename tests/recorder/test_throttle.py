"""How many requests Envoy sends the recorder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.recorder import throttle
from tiffin.recorder.throttle import BUDGET, RESERVE, Throttle, choose_share


def test_all_of_nothing() -> None:
    assert choose_share(0, 0, 0, 0) == 1


@pytest.mark.parametrize(
    ("offered", "sent", "idle", "cost", "share"),
    [
        # A tenth of the machine's time would do; half of it is idle.
        (1000, 1000, 0.5, 1e-4, 1.0),
        # Nothing is idle: 3 % of the time are enough for 300 requests per second.
        (1000, 1000, 0.0, 1e-4, 0.3),
        (1000, 300, 0.0, 1e-4, 0.3),
        (200, 200, 0.0, 1e-4, 1.0),
        # Recording takes 10 %, and 15 % are idle, of which 20 should be left: 5 % remain.
        (1000, 1000, 0.15, 1e-4, 0.5),
        # A hundred machines would do.
        (1000, 1, 0.0, 0.1, 0.001),
    ],
)
def test_the_share_by_what_is_idle(offered: float, sent: float, idle: float, cost: float, share: float) -> None:
    assert choose_share(offered, sent, idle, cost) == pytest.approx(share)


@given(st.floats(1, 1e5), st.floats(0.001, 2), st.floats(0, 1))
def test_the_share_settles(offered: float, needed: float, others: float) -> None:
    cost = needed / offered
    share = 1.0
    for _ in range(200):
        sent = offered * share
        share = choose_share(offered, sent, max(1 - others - sent * cost, 0.0), cost)

    taken = offered * share * cost
    # All of it, or the budget, or what is idle except the reserve.
    assert taken == pytest.approx(min(needed, max(BUDGET, 1 - others - RESERVE)), abs=1e-6)
    assert choose_share(offered, offered * share, max(1 - others - taken, 0.0), cost) == pytest.approx(share, abs=1e-6)


def test_without_a_file_everything_is_recorded() -> None:
    found = Throttle(None)
    found.adjust(1000, 1000)

    assert found.share == 1


@pytest.mark.parametrize("idle", [0, 1000])
def test_the_file_has_the_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, idle: int) -> None:
    def write_times(user: int, idle: int) -> None:
        (tmp_path / "stat").write_text(f"cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n")

    monkeypatch.setattr(throttle, "_STAT", tmp_path / "stat")
    write_times(0, 0)
    found = Throttle(tmp_path / "throttle")
    assert (tmp_path / "throttle").read_text() == "1.0000\n"
    # Each request that was read takes microseconds of this process, at least; many more were received.
    sum(range(1_000_000))
    write_times(100, idle)
    found.adjust(10**9, 10)

    assert (found.share == 1) == (idle > 0)
    assert (tmp_path / "throttle").read_text() == f"{found.share:.4f}\n"


def test_a_system_without_its_times_records_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throttle, "_STAT", tmp_path / "nothing")
    found = Throttle(tmp_path / "throttle")
    found.adjust(10**9, 10)

    assert found.share == 1
