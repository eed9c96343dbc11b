"""Recurring runs that several hands set at once, by the library, against a backend in another process."""

import concurrent.futures
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import kfp_backend
from support import toy_pipelines as toys
from tiffin.authoring.compilation import load_spec
from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.connection import connect
from tiffin.kubeflow.publication import publish_spec
from tiffin.kubeflow.schedule import change_recurring, set_recurring
from tiffin.kubeflow.submission import find_experiment, run_settings

Set = Callable[[str], str]


@pytest.fixture(scope="module")
def _process() -> Iterator[kfp_backend.Server]:
    with kfp_backend.serve() as server:
        yield server


@pytest.fixture
def server(_process: kfp_backend.Server) -> kfp_backend.Server:
    """A backend that holds nothing yet."""
    _process.reset()
    return _process


@pytest.fixture
def set_nightly(server: kfp_backend.Server, tmp_path: Path) -> Set:
    """Set `nightly` to a cron line, and return what became of it."""
    backend = connect(server.address)
    published = publish_spec(backend, load_spec(str(toys.write_spec(toys.toy, tmp_path))))
    settings = run_settings(published, find_experiment(backend, "toy"), {})

    return lambda cron: set_recurring(backend, "nightly", cron, published, settings)[1]


def there(server: kfp_backend.Server) -> list[tuple[str, str]]:
    found = server.state()["recurring"].values()
    return [(one["trigger"]["cron_schedule"]["cron"], one["status"]) for one in found]


def meet(server: kfp_backend.Server, hands: int) -> None:
    """Have all look before one makes its own, and all make their own before one looks again."""
    server.meet("GET .*/recurringruns$", hands)
    server.meet("POST .*/recurringruns$", hands)


def at_once(set_nightly: Set, crons: list[str]) -> list[str]:
    """Set all of them at once, and return what became of each: its error's words for one that failed."""

    def attempt(cron: str) -> str:
        try:
            return set_nightly(cron)
        except BackendError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(len(crons)) as hands:
        return list(hands.map(attempt, crons))


@pytest.mark.parametrize("there_before", [False, True])
def test_of_two_different_ones_at_once_one_stands_and_the_other_is_told(
    server: kfp_backend.Server, set_nightly: Set, there_before: bool
) -> None:
    for _ in range(5):
        if there_before:
            set_nightly("@monthly")
        meet(server, 2)
        ends = dict(zip(["@daily", "@weekly"], at_once(set_nightly, ["@daily", "@weekly"]), strict=True))
        (left,) = there(server)
        won = left[0]
        (lost,) = ends.keys() - {won}

        assert left == (won, "ENABLED")
        assert ends[won] == ("replaced" if there_before else "created")
        assert ends[lost].startswith("The recurring run 'nightly' should change by one hand at a time. Received: ")
        change_recurring(connect(server.address), "nightly", "delete")


def test_of_many_at_once_one_stands_that_was_told_so(server: kfp_backend.Server, set_nightly: Set) -> None:
    crons = [f"0 {minute} * * * *" for minute in range(6)] * 2
    for _ in range(5):
        ends = list(zip(crons, at_once(set_nightly, crons), strict=True))
        (left,) = there(server)

        assert left[1] == "ENABLED"
        assert {end for cron, end in ends if cron == left[0]} & {"created", "replaced"}
        assert all(" " not in end or "one hand at a time" in end for _, end in ends)


def test_equal_ones_at_once_agree_on_one(server: kfp_backend.Server, set_nightly: Set) -> None:
    for _ in range(5):
        meet(server, 4)

        assert at_once(set_nightly, ["@daily"] * 4) == ["created"] * 4
        assert there(server) == [("@daily", "ENABLED")]
        change_recurring(connect(server.address), "nightly", "delete")


def test_one_after_the_other_the_last_stands_within_a_second_too(server: kfp_backend.Server, set_nightly: Set) -> None:
    crons = ["@daily", "@weekly", "@monthly", "@hourly", "@yearly"]

    assert [set_nightly(cron) for cron in crons] == ["created"] + ["replaced"] * 4
    assert there(server) == [("@yearly", "ENABLED")]


def test_one_that_vanishes_is_looked_for_again(server: kfp_backend.Server, set_nightly: Set) -> None:
    server.fail("POST .*:enable", 404, {"message": "Recurring run not found"})
    assert set_nightly("@daily") == "created"

    server.fail("POST .*:enable", 404, {"message": "Recurring run not found"}, times=100)
    with pytest.raises(BackendError, match=r"one hand at a time\. Received: another change in between"):
        set_nightly("@weekly")


@pytest.mark.parametrize(("action", "verb"), [("pause", "disable"), ("resume", "enable")])
def test_pausing_and_resuming_outlast_a_replacement(
    server: kfp_backend.Server, set_nightly: Set, action: str, verb: str
) -> None:
    backend = connect(server.address)
    set_nightly("@daily")
    if action == "resume":
        change_recurring(backend, "nightly", "pause")
    server.fail(f"POST .*:{verb}", 404, {"message": "Recurring run not found"})

    change_recurring(backend, "nightly", action)

    assert there(server) == [("@daily", "DISABLED" if action == "pause" else "ENABLED")]


def test_resuming_never_lets_two_fire(server: kfp_backend.Server, set_nightly: Set) -> None:
    backend = connect(server.address)
    set_nightly("@daily")
    server.fail("DELETE", 503)
    with pytest.raises(BackendError):
        set_nightly("@weekly")

    with pytest.raises(InputError, match=r"should be of one recurring run\. Received: 2 of that name"):
        change_recurring(backend, "nightly", "resume")
    change_recurring(backend, "nightly", "pause")
    assert {state for _, state in there(server)} == {"DISABLED"}
    change_recurring(backend, "nightly", "delete")
    assert there(server) == []
