"""Recurring runs set by concurrent clients, tested with the library against a backend in another process."""

import concurrent.futures
from collections.abc import Callable
from pathlib import Path

import pytest

from support import kfp_backend
from support import toy_pipelines as toys
from support.waiting import until
from tiffin.authoring.compilation import load_spec
from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.connection import connect
from tiffin.kubeflow.publication import publish_spec
from tiffin.kubeflow.schedule import change_recurring, set_recurring
from tiffin.kubeflow.submission import find_experiment, run_settings

Set = Callable[[str], str]


@pytest.fixture
def set_nightly(server: kfp_backend.Server, tmp_path: Path) -> Set:
    """Return a function that sets `nightly` to a cron expression and returns the outcome."""
    backend = connect(server.address)
    published = publish_spec(backend, load_spec(str(toys.write_spec(toys.toy, tmp_path))))
    settings = run_settings(published, find_experiment(backend, "toy"), {})

    return lambda cron: set_recurring(backend, "nightly", cron, published, settings)[1]


def recurring(server: kfp_backend.Server) -> list[tuple[str, str]]:
    found = server.state()["recurring"].values()
    return [(one["trigger"]["cron_schedule"]["cron"], one["status"]) for one in found]


def meet(server: kfp_backend.Server, clients: int) -> None:
    """Make all clients list before one creates, and all create before one lists again."""
    server.meet("GET .*/recurringruns$", clients)
    server.meet("POST .*/recurringruns$", clients)


def at_once(set_nightly: Set, crons: list[str]) -> list[str]:
    """Set all of them at the same time, and return the outcomes; the message for one that failed."""

    def attempt(cron: str) -> str:
        try:
            return set_nightly(cron)
        except BackendError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(len(crons)) as clients:
        return list(clients.map(attempt, crons))


def is_conflict(message: str) -> bool:
    return "'nightly'" in message and "`tiffin schedule list`" in message


@pytest.mark.parametrize("exists", [False, True])
def test_of_two_concurrent_changes_one_is_kept_and_the_other_fails(
    server: kfp_backend.Server, set_nightly: Set, exists: bool
) -> None:
    for _ in range(5):
        if exists:
            set_nightly("@monthly")
        meet(server, 2)
        ends = dict(zip(["@daily", "@weekly"], at_once(set_nightly, ["@daily", "@weekly"]), strict=True))
        (left,) = recurring(server)
        won = left[0]
        (lost,) = ends.keys() - {won}

        assert left == (won, "ENABLED")
        assert ends[won] == ("replaced" if exists else "created")
        assert is_conflict(ends[lost])
        change_recurring(connect(server.address), "nightly", "delete")


def test_of_many_concurrent_changes_one_that_succeeded_is_kept(server: kfp_backend.Server, set_nightly: Set) -> None:
    crons = [f"0 {minute} * * * *" for minute in range(6)] * 2
    for _ in range(5):
        ends = list(zip(crons, at_once(set_nightly, crons), strict=True))
        (left,) = recurring(server)

        assert left[1] == "ENABLED"
        assert {end for cron, end in ends if cron == left[0]} & {"created", "replaced"}
        assert all(" " not in end or is_conflict(end) for _, end in ends)


def test_equal_concurrent_changes_agree_on_one(server: kfp_backend.Server, set_nightly: Set) -> None:
    for _ in range(5):
        meet(server, 4)

        assert at_once(set_nightly, ["@daily"] * 4) == ["created"] * 4
        assert recurring(server) == [("@daily", "ENABLED")]
        change_recurring(connect(server.address), "nightly", "delete")


def test_of_changes_within_a_second_the_last_is_kept(server: kfp_backend.Server, set_nightly: Set) -> None:
    crons = ["@daily", "@weekly", "@monthly", "@hourly", "@yearly"]

    assert [set_nightly(cron) for cron in crons] == ["created"] + ["replaced"] * 4
    assert recurring(server) == [("@yearly", "ENABLED")]


def test_a_change_that_ends_meanwhile_is_kept(server: kfp_backend.Server, set_nightly: Set) -> None:
    """Another client had created its recurring run at the first look, and enables it later."""
    set_nightly("@monthly")
    change_recurring(connect(server.address), "nightly", "pause")
    server.hold("POST .*/recurringruns$", [3])

    with concurrent.futures.ThreadPoolExecutor(1) as client:
        end = client.submit(at_once, set_nightly, ["@daily"])
        assert until(lambda: server.state()["requests"][-1] == "POST /apis/v2beta1/recurringruns")
        change_recurring(connect(server.address), "nightly", "resume")

    (message,) = end.result()
    assert is_conflict(message)
    assert recurring(server) == [("@monthly", "ENABLED")]


def test_a_recurring_run_that_vanishes_is_set_again(server: kfp_backend.Server, set_nightly: Set) -> None:
    server.fail("POST .*:enable", 404, {"message": "Recurring run not found"})
    assert set_nightly("@daily") == "created"

    server.fail("POST .*:enable", 404, {"message": "Recurring run not found"}, times=100)
    with pytest.raises(BackendError) as caught:
        set_nightly("@weekly")
    assert is_conflict(str(caught.value))


@pytest.mark.parametrize(("action", "verb"), [("pause", "disable"), ("resume", "enable")])
def test_pausing_and_resuming_survive_a_replacement(
    server: kfp_backend.Server, set_nightly: Set, action: str, verb: str
) -> None:
    backend = connect(server.address)
    set_nightly("@daily")
    if action == "resume":
        change_recurring(backend, "nightly", "pause")
    server.fail(f"POST .*:{verb}", 404, {"message": "Recurring run not found"})

    change_recurring(backend, "nightly", action)

    assert recurring(server) == [("@daily", "DISABLED" if action == "pause" else "ENABLED")]


def test_resuming_never_enables_two(server: kfp_backend.Server, set_nightly: Set) -> None:
    backend = connect(server.address)
    set_nightly("@daily")
    server.fail("DELETE", 503)
    with pytest.raises(BackendError):
        set_nightly("@weekly")

    with pytest.raises(InputError, match=r"'nightly'.*2.*`tiffin schedule set`"):
        change_recurring(backend, "nightly", "resume")
    change_recurring(backend, "nightly", "pause")
    assert {state for _, state in recurring(server)} == {"DISABLED"}
    change_recurring(backend, "nightly", "delete")
    assert recurring(server) == []
