"""How many requests Envoy sends the recorder."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.recorder import throttle
from tiffin.recorder.throttle import BUDGET, RESERVE, Throttle, choose_share


def test_all_of_nothing() -> None:
    assert choose_share(0, 0, 0) == 1


@pytest.mark.parametrize(
    ("needed", "taken", "idle", "share"),
    [
        # A tenth of the machine's time would do; half of it is idle.
        (0.1, 0.1, 0.5, 1.0),
        # Nothing is idle: 2 % of the time are enough for a fifth of the requests, whatever is taken now.
        (0.1, 0.1, 0.0, 0.2),
        (0.1, 0.02, 0.0, 0.2),
        (0.01, 0.01, 0.0, 1.0),
        # Recording takes 10 %, and 15 % are idle, of which 20 should be left: 5 % remain.
        (0.1, 0.1, 0.15, 0.5),
        # A hundred machines would do.
        (100, 0.1, 0.0, 0.001),
    ],
)
def test_the_share_by_what_is_idle(needed: float, taken: float, idle: float, share: float) -> None:
    assert choose_share(needed, taken, idle) == pytest.approx(share)


@given(st.floats(0.001, 2), st.floats(0, 1))
def test_the_share_settles(needed: float, others: float) -> None:
    share = 1.0
    for _ in range(200):
        taken = needed * share
        share = choose_share(needed, taken, max(1 - others - taken, 0.0))

    taken = needed * share
    # All of it, or the budget, or what is idle except the reserve.
    assert taken == pytest.approx(min(needed, max(BUDGET, 1 - others - RESERVE)), abs=1e-6)
    assert choose_share(needed, taken, max(1 - others - taken, 0.0)) == pytest.approx(share, abs=1e-6)


def test_the_share_rises_slowly_while_the_machine_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counters = dict.fromkeys(("received", "read", "seconds", "own", "idle", "all"), 0.0)
    monkeypatch.setattr(throttle, "_measure", lambda *_: dict(counters))
    monkeypatch.setattr(throttle.os, "cpu_count", lambda: 1)
    found = Throttle(tmp_path / "throttle")

    def second(offered: float, idle: float) -> float:
        sent = offered * found.share
        # With the time of Envoy, a request takes 1e-4 of the machine.
        spent = {"received": sent, "read": sent, "seconds": 1, "own": sent * 1e-4 / 1.6, "idle": idle, "all": 1}
        counters.update((name, value + spent[name]) for name, value in counters.items())
        found.adjust(0, 0)
        return found.share

    # Of the first second on, a tenth of the machine's time would do, and 2 % are there.
    assert [second(1000, 0) for _ in range(20)] == pytest.approx([0.2] * 20, rel=0.05)
    # The load is gone, and others keep the machine busy: a twentieth more in each second.
    assert [second(0, 0) for _ in range(10)][-1] == pytest.approx(0.2 / 0.95**10, rel=0.05)
    assert second(1000, 0) == pytest.approx(0.2 / 0.95**11, rel=0.05)
    assert [second(1000, 0) for _ in range(10)][-1] == pytest.approx(0.2, rel=0.05)
    # The machine is idle.
    assert [second(1000, 0.9) for _ in range(2)][-1] == 1


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
