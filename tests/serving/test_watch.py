"""The watch after a change: its test on simulated requests, and whole watches of `tiffin-model-server`."""

import contextlib
import math
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support import tiny_models
from support.server_process import Server
from support.waiting import free_port, until
from tiffin.errors import Conflict, InputError
from tiffin.serving import Client, messages, model_config, wire
from tiffin.serving.counters import Counts, Reading, read_counters
from tiffin.serving.watch import (
    FALSE_ALARMS,
    LEAST_BEFORE,
    LEAST_ERRORS,
    Watched,
    are_worse,
    chance_of,
    find_share_before,
    watch,
)

RUNS_IN = ("model",)

LOOKS = 24
LEVEL = FALSE_ALARMS / LOOKS


def counts(ok: int, errors: int = 0) -> Counts:
    return Counts({"OK": ok, "INVALID_ARGUMENT": errors})


def readings(*items: dict[str, Counts] | str) -> Callable[[], Reading]:
    """Return a function that returns these servers one after another, and the last ones again; a text is a failure."""
    left = list(items)

    def read() -> Reading:
        item = left.pop(0) if left[1:] else left[0]
        return Reading(unread={"servers": item}) if isinstance(item, str) else Reading(item)

    return read


def quick(read: Callable[[], Reading], looks: int = 4, **options: Any) -> Watched:
    return watch(read, seconds=looks * 0.001, pause_seconds=0.001, **options)


def test_no_requests_are_not_worse() -> None:
    assert chance_of(0, 0, 0.05) == 1
    assert not are_worse(Counts(), 0.05, LEVEL)
    assert find_share_before(Counts()) == 0


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0.001, 0.999))
def test_the_chance_is_that_of_the_binomial_distribution(errors: int, more: int, share: float) -> None:
    requests, p = errors + more, Fraction(share)
    exact = sum(
        math.comb(requests, number) * p**number * (1 - p) ** (requests - number)
        for number in range(errors, requests + 1)
    )

    assert chance_of(errors, requests, share) == pytest.approx(float(exact), rel=1e-9, abs=1e-12)


def test_the_chance_among_many_requests() -> None:
    # The normal distribution's 2.3 % beyond two standard deviations.
    assert chance_of(1_000_000 + 1990, 100_000_000, 0.01) == pytest.approx(0.0228, abs=0.0002)
    assert chance_of(10_000_000, 10**9, 0.02) == pytest.approx(1)
    assert chance_of(30_000_000, 10**9, 0.02) == 0


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0.001, 0.5))
def test_more_errors_are_worse_and_more_requests_without_an_error_are_not(errors: int, ok: int, limit: float) -> None:
    if are_worse(counts(ok, errors), limit, LEVEL):
        assert are_worse(counts(ok, errors + 1), limit, LEVEL)
        assert errors / (ok + errors) > limit
    else:
        assert not are_worse(counts(ok + 1, errors), limit, LEVEL)
        assert not are_worse(counts(ok, errors), limit + 0.1, LEVEL)


def test_a_few_failed_requests_are_no_reason() -> None:
    assert [are_worse(counts(0, errors), 0.05, LEVEL) for errors in (1, 2, 3, 4)] == [False, False, False, True]
    assert [are_worse(counts(0, errors), 1e-9, LEVEL) for errors in (1, 2, 3)] == [False, False, True]
    assert LEAST_ERRORS == 3


def test_the_share_before_is_above_the_one_that_was_counted() -> None:
    assert find_share_before(counts(LEAST_BEFORE - 2, 1)) == 0
    assert find_share_before(counts(LEAST_BEFORE)) == pytest.approx(0.0089, abs=0.0001)
    # Of R's prop.test(50, 1000, alternative = "less", correct = FALSE).
    assert find_share_before(counts(950, 50)) == pytest.approx(0.06256, abs=0.0001)
    assert find_share_before(counts(95 * 10**7, 5 * 10**7)) == pytest.approx(0.05, abs=0.0001)
    assert find_share_before(counts(0, LEAST_BEFORE)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("share", "before", "most"),
    [(0.01, 0, 0), (0.01, 1000, 0), (0.05, 0, 5), (0.05, 1000, 0), (0.2, LEAST_BEFORE, 0)],
)
def test_an_unchanged_share_of_errors_is_not_stopped(share: float, before: int, most: int) -> None:
    """`most` of 2000 watches: with the share at the limit, 2 are expected at most; 6 would come about by 1 %."""
    chance = np.random.default_rng(1)
    alarms = 0
    for watched in range(2000):
        failed = int(chance.binomial(before, share))
        limit = 0.05 + find_share_before(counts(before - failed, failed))
        requests = chance.poisson((0.2, 1, 5, 50, 1000)[watched % 5], LOOKS)
        totals = zip(requests.cumsum().tolist(), chance.binomial(requests, share).cumsum().tolist(), strict=True)
        alarms += any(are_worse(counts(all_ - errors, errors), limit, LEVEL) for all_, errors in totals)

    assert alarms <= most


def test_a_higher_share_of_errors_is_found() -> None:
    chance = np.random.default_rng(1)
    for share, requests in ((0.2, 600), (0.5, 60), (1.0, 5)):
        found = [
            are_worse(counts(requests - n, n), 0.06, LEVEL) for n in chance.binomial(requests, share, 200).tolist()
        ]

        assert sum(found) >= 198, share


@pytest.mark.parametrize("share", [0, -0.1, 1, 5, math.nan, math.inf])
def test_a_bound_that_is_no_share(share: float) -> None:
    with pytest.raises(InputError, match="max_error_share"):
        watch(readings({}), max_error_share=share)


def test_a_watch_without_requests() -> None:
    found = quick(readings({"a": counts(5, 5)}))

    assert (found.problem, found.is_worse, found.counts.requests, found.servers) == ("", False, 0, 1)


def test_a_watch_ends_at_the_look_that_shows_the_errors() -> None:
    looks = []
    read = readings({"a": counts(900, 9)}, {"a": counts(950, 9)}, {"a": counts(1000, 109)}, {"a": counts(2000, 109)})

    found = quick(read, before=counts(900, 9), check=lambda: looks.append(1))

    assert found.is_worse
    assert found.counts == counts(100, 100)
    assert found.limit == pytest.approx(0.05 + find_share_before(counts(900, 9)))
    assert len(looks) == 3
    assert {"100", "200", "INVALID_ARGUMENT"} <= {
        *found.summary.replace("(", "").replace(")", "").replace(",", "").split()
    }


def test_errors_that_there_were_before_are_not_worse() -> None:
    read = readings({"a": counts(0)}, {"a": counts(900, 100)})

    assert quick(read).is_worse
    assert not quick(readings({"a": counts(0)}, {"a": counts(900, 100)}), before=counts(900, 100)).is_worse


def test_servers_come_and_go() -> None:
    old, new = counts(1000, 0), counts(10**6, 10**6)
    read = readings(
        {"a": old, "b": old},
        {"a": old + counts(10), "new": new},
        "refused",
        {"a": old + counts(30), "b": old + counts(5), "new": new + counts(7)},
        {"a": counts(2), "b": old + counts(5), "new": new + counts(7)},
    )

    found = quick(read)

    assert found.counts == counts(30 + 5 + 7 + 2)
    assert (found.is_worse, found.problem, found.servers, found.restarts, found.unread) == (False, "", 3, 1, {})


def test_a_watch_is_not_possible_without_metrics() -> None:
    looks: list[int] = []
    found = quick(readings("refused"), looks=1000, check=lambda: looks.append(1))

    assert "refused" in found.problem
    assert found.problem in found.summary
    assert (found.is_worse, found.servers, found.unread, len(looks)) == (False, 0, {"servers": "refused"}, 3)
    # Nothing to compare with.
    assert quick(readings({"a": counts(1)}, "refused")).problem
    assert quick(readings("refused", "refused", {"a": counts(1)}), looks=2).problem
    assert not quick(readings("refused", "refused", {"a": counts(1)}), looks=3).problem


def test_another_change_ends_the_watch() -> None:
    def check() -> None:
        raise Conflict("version 3 was deployed")

    with pytest.raises(Conflict):
        quick(readings({"a": counts(1)}), check=check)


# Whole watches of model servers.


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the versions 1 and 2 of a model of `x`, and version 3, whose input has another type."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("score")
    tiny_models.save_score(folder / "1", 1.0)
    shutil.copytree(folder / "1", folder / "2")
    module = tf.Module()
    module.score = tf.function(lambda x: {"y": x}, input_signature=[tf.TensorSpec([None, 3], tf.string, name="x")])
    tf.saved_model.save(module, str(folder / "3"), signatures={"serving_default": module.score})
    return folder


class Fleet:
    """Model servers on one port of several loopback addresses, with clients that send requests to all of them."""

    def __init__(self, nursery: Any, saved: Path, folder: Path, addresses: tuple[str, ...], monitoring: bool) -> None:
        self._nursery, self._saved, self._folder, self.addresses = nursery, saved, folder, addresses
        self.port, self.rest_port = free_port(), free_port()
        self.url = f"http://servers:{self.rest_port}/monitoring/prometheus/metrics"
        self.config, self.monitoring = folder / "config", folder / "monitoring"
        self.monitoring.write_text(f"prometheus_config {{ enable: {str(monitoring).lower()} }}")
        self.servers: dict[str, Server] = {}
        self.deploy(1, wait=False)
        for address in addresses:
            self.start(address)

    def start(self, address: str) -> None:
        flags = [
            f"--host={address}", f"--port={self.port}", f"--rest_api_port={self.rest_port}", "--poll_wait_millis=50",
            f"--model_config_file={self.config}", "--model_config_file_poll_wait_seconds=1",
            f"--monitoring_config_file={self.monitoring}",
        ]  # fmt: skip
        log = self._folder / f"{address}.log"
        self.servers[address] = Server(self._nursery, self.port, self.rest_port, log, flags)
        self._wait(address, 1)

    def _wait(self, address: str, version: int) -> None:
        with Client(f"{address}:{self.port}") as client:
            client.wait_until_available("score", version)
        # The port of REST opens after that of gRPC.
        assert until(lambda: "404" in self.read().unread.get(address, "404"))

    def deploy(self, version: int, wait: bool = True) -> None:
        entry = model_config.make_model("score", str(self._saved), [version])
        self.config.write_text(model_config.format_config(model_config.make_config([entry])))
        for address in self.addresses if wait else ():
            self._wait(address, version)

    def stop(self, address: str) -> None:
        self.servers.pop(address).stop()

    def read(self) -> Reading:
        return read_counters(self.url, "score", resolve=lambda *_: list(self.addresses))

    def watch(self, looks: int = 10, **options: Any) -> Watched:
        return watch(self.read, seconds=looks * 0.1, pause_seconds=0.1, **options)

    @contextlib.contextmanager
    def requests(self, wrong: float = 0.0) -> Iterator[None]:
        """Send requests in the background, a share of them wrong."""
        right, bad = (
            messages.predict_request(("score", None, None), {"x": np.zeros((1, width), "f4")}, "") for width in (3, 2)
        )
        chance = random.Random(1)
        over = threading.Event()

        def send(address: str) -> None:
            with grpc.insecure_channel(f"{address}:{self.port}") as channel:
                method = wire.METHODS["Predict"]
                call = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)
                while not over.is_set():
                    with contextlib.suppress(grpc.RpcError):
                        call(bad if chance.random() < wrong else right, timeout=10)
                    time.sleep(0.003)

        threads = [threading.Thread(target=send, args=(address,)) for address in self.addresses]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


@pytest.fixture
def fleet(nursery: Any, saved: Path, tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    fleets = []

    def start(*addresses: str, monitoring: bool = True) -> Fleet:
        fleets.append(Fleet(nursery, saved, tmp_path, addresses or ("127.0.0.1",), monitoring))
        return fleets[-1]

    yield start
    for found in fleets:
        for address in [*found.servers]:
            found.stop(address)


def test_a_good_version_of_a_service_whose_clients_send_wrong_requests(fleet: Callable[..., Fleet]) -> None:
    servers = fleet()
    without = servers.watch(looks=3)
    with servers.requests(wrong=0.3):
        assert until(lambda: servers.read().total.requests > LEAST_BEFORE)
        before = servers.read().total
        servers.deploy(2)
        found = servers.watch(before=before)

    assert (without.problem, without.is_worse, without.counts, without.servers) == ("", False, Counts(), 1)
    assert (found.problem, found.is_worse, found.servers, found.restarts) == ("", False, 1, 0)
    assert found.counts.failed > 0
    assert found.before == before
    assert before.failed > 0


def test_a_version_that_fails_on_one_of_two_servers(fleet: Callable[..., Fleet]) -> None:
    servers = fleet("127.0.0.1", "127.0.0.2")
    with servers.requests():
        assert until(lambda: min(counts.requests for counts in servers.read().servers.values()) > 0)
        before = servers.read().total
        servers.deploy(3)
        found = servers.watch(looks=600, before=before)

    assert (found.problem, found.is_worse, found.servers) == ("", True, 2)
    assert [*found.counts.errors] == ["INVALID_ARGUMENT"]
    assert found.seconds < 60


def test_a_server_that_restarts_within_the_watch(fleet: Callable[..., Fleet]) -> None:
    servers = fleet("127.0.0.1", "127.0.0.2")
    looks = []

    def check() -> None:
        looks.append(1)
        if len(looks) == 3:
            servers.stop("127.0.0.2")
        if len(looks) == 5:
            servers.start("127.0.0.2")

    with servers.requests():
        assert until(lambda: min(counts.requests for counts in servers.read().servers.values()) > 100)
        found = servers.watch(looks=6, check=check)

    assert (found.problem, found.is_worse, found.servers, found.restarts) == ("", False, 2, 1)
    assert found.counts.requests > 10


def test_metrics_that_are_off(fleet: Callable[..., Fleet]) -> None:
    found = fleet(monitoring=False).watch()

    assert "404" in found.problem
    assert not found.is_worse
