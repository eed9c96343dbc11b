"""Compare requests per second through the gateway with requests to the server itself, and through a proxy in Python.

    .venvs/model/bin/python tests/benchmarks/gateway.py

One model server answers the same Predict requests directly, through Envoy as the gateway runs it, through the same with the
recorder of the prediction log, and through a plain gRPC proxy in Python. They alternate within each round, so that load on
the machine affects all of them. Targets at concurrency 8: the gateway passes on at least 1.5 times the requests of the proxy,
and the recorder costs less than 5 % of them.

One measurement with the recorder differs from the one beside it by 10 % either way on a shared machine. So each round has
many pairs, one after the other in random order, and the target is met if the whole 95 % interval of the mean is below it.

Eight clients without a pause leave the recorder no time, so Envoy sends it a part of the requests, see
`tiffin.recorder.throttle`. The table says which part the log has. `--all` measures what it would cost to send all of them.
"""

import argparse
import concurrent.futures
import contextlib
import dataclasses
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import serving
from tiffin.local.environments import find_python
from tiffin.local.gateway import read_recorded
from tiffin.local.ports import find_port

ROUNDS, PAIRS = 12, 10
# Of load before the first measurement, until the recorder's share no longer changes; and before each through Envoy, until
# the recorder has read what came before.
WARMING_SECONDS, SETTLING_SECONDS = 5.0, 0.5
CONCURRENCY = 8
PROXY_TARGET, RECORDER_TARGET = 1.5, 0.05
WAYS = ("direct", "gateway", "recorded", "proxy")
# Requests per second, p50 and p99 in milliseconds of each measurement of a round, by its way.
Round = dict[str, list[tuple[float, float, float]]]


def main() -> int:
    """Run the benchmark, or the proxy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=1.0, help="duration of one measurement (default: 1)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"rounds of {PAIRS} pairs (default: {ROUNDS})")
    parser.add_argument("--all", action="store_true", help="send the recorder all requests, whether it has time or not")
    parser.add_argument("--proxy", nargs=2, metavar=("PORT", "SERVER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        serve_proxy(*map(int, options.proxy))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return benchmark(pathlib.Path(folder), options.seconds, options.rounds, throttled=not options.all)


def benchmark(folder: pathlib.Path, seconds: float, number: int, *, throttled: bool) -> int:
    """Measure all ways and print the table; return 1 if a target is missed."""
    serving.run("--role=model", str(folder / "model" / "1"))
    request = folder / "request"
    request.write_bytes(serving.predict_request(1))
    with contextlib.ExitStack() as stack:
        direct = stack.enter_context(serving.server("tiffin", folder))
        ports = {"direct": direct, "proxy": stack.enter_context(proxy(folder, direct))}
        recorder = stack.enter_context(record(folder / "log", throttled=throttled))
        ports["gateway"] = stack.enter_context(gateway(folder / "plain", direct))
        ports["recorded"] = stack.enter_context(gateway(folder / "recorded", direct, recorder))
        loads = [stack.enter_context(serving.load()) for _ in range(2)]

        def load(way: str, duration: float) -> tuple[float, float, float]:
            return serving.measure(loads, ports[way], request, CONCURRENCY, duration)

        for way in WAYS:
            load(way, WARMING_SECONDS)
        before = recorder.count()
        rounds = [measure_round(load, seconds) for _ in range(number)]
        time.sleep(2)  # until Envoy has sent its last entries
        sent, left_out = (after - number for after, number in zip(recorder.count(), before, strict=True))
    print(f"{'concurrency 8':<14} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for way in WAYS:
        each = [measured for one in rounds for measured in one[way]]
        rate, p50, p99 = (statistics.median(values) for values in zip(*each, strict=True))
        print(f"{way:<14} {rate:>10.0f} {p50:>8.2f} {p99:>8.2f}")
    print(f"the log has {sent / (sent + left_out):.0%} of the requests; the other {left_out} are counted as left out")
    return print_targets(rounds)


def measure_round(load: Callable[[str, float], tuple[float, float, float]], seconds: float) -> Round:
    """Measure the server and the proxy once, and the gateway without and with the recorder in pairs."""
    found: Round = {way: [] for way in WAYS}
    for way in random.sample(("direct", "proxy"), 2):
        found[way].append(load(way, seconds * 2))
    for _ in range(PAIRS):
        # In another order each time, since one may leave work for the other.
        for way in random.sample(("gateway", "recorded"), 2):
            load(way, SETTLING_SECONDS)
            found[way].append(load(way, seconds))
    return found


def print_targets(rounds: list[Round]) -> int:
    """Print the ratios; return 1 if a target is missed."""

    def ratio(one: str, other: str) -> float:
        rates = {way: [statistics.mean(rate for rate, _, _ in found[way]) for found in rounds] for way in (one, other)}
        return statistics.median(rate / base for rate, base in zip(rates[one], rates[other], strict=True))

    costs = [
        1 - recorded[0] / plain[0]
        for one in rounds
        for recorded, plain in zip(one["recorded"], one["gateway"], strict=True)
    ]
    cost, margin = statistics.mean(costs), 1.96 * statistics.stdev(costs) / len(costs) ** 0.5
    faster = ratio("gateway", "proxy")
    met = faster >= PROXY_TARGET, cost + margin < RECORDER_TARGET
    print(f"the gateway passes on {ratio('gateway', 'direct'):.0%} of the requests that the server answers directly")
    print(f"{faster:.1f} times the proxy in Python (target {PROXY_TARGET}): {'met' if met[0] else 'missed'}")
    print(
        f"the recorder costs {cost:.1%}, 95 % interval {cost - margin:.1%} to {cost + margin:.1%} in {len(costs)} pairs "
        f"(target below {RECORDER_TARGET:.0%}): {'met' if met[1] else 'missed'}"
    )
    return int(not all(met))


@contextlib.contextmanager
def running(command: list[str], log: pathlib.Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program, with its output in a file."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=serving.quiet(), start_new_session=True) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


@contextlib.contextmanager
def gateway(folder: pathlib.Path, server: int, recorder: "Recorder | None" = None) -> Iterator[int]:
    """Run Envoy in front of the server as on a cluster; yield its port."""
    port, metrics = find_port("127.0.0.1", 0), find_port("127.0.0.1", 0)
    (folder / "root").mkdir(parents=True)
    follower = [
        find_python("gateway"), "-m", "tiffin.gateway", f"--serving-root={folder / 'root'}", f"--folder={folder}",
        f"--stable=127.0.0.1:{server}", f"--port={port}", f"--metrics-port={metrics}",
        *([f"--recorder={recorder.address}", f"--throttle={recorder.throttle}"] if recorder else []),
    ]  # fmt: skip
    envoy = str(pathlib.Path(find_python("gateway")).with_name("envoy"))
    bootstrap = folder / "bootstrap.json"
    with running(follower, folder / "follower.log"):
        while not bootstrap.exists():
            time.sleep(0.05)
        command = [envoy, "-c", str(bootstrap), "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        with running(command, folder / "envoy.log") as process:
            serving.wait_for(port, process, folder / "envoy.log")
            yield port


@dataclasses.dataclass(frozen=True)
class Recorder:
    """A running recorder.

    Attributes:
        address: Its `host:port`.
        throttle: File with the share that it has time for; empty for none.
        metrics: URL of its metrics.
    """

    address: str
    throttle: str
    metrics: str

    def count(self) -> tuple[int, int]:
        """Return how many requests it got, and how many are counted as left out or dropped."""
        found = read_recorded(self.metrics)
        if found is None:
            raise AssertionError("the recorder does not answer")
        return found.requests, sum(found.missing.values())


@contextlib.contextmanager
def record(folder: pathlib.Path, *, throttled: bool) -> Iterator[Recorder]:
    """Run the recorder."""
    port, metrics = find_port("127.0.0.1", 0), find_port("127.0.0.1", 0)
    folder.mkdir()
    throttle = str(folder / "throttle") if throttled else ""
    command = [
        find_python("gateway"), "-m", "tiffin.recorder", f"--log-root={folder / 'predictions'}", f"--port={port}",
        f"--metrics-port={metrics}", *([f"--throttle={throttle}"] if throttle else []),
    ]  # fmt: skip
    with running(command, folder / "recorder.log") as process:
        serving.wait_for(port, process, folder / "recorder.log")
        yield Recorder(f"127.0.0.1:{port}", throttle, f"http://127.0.0.1:{metrics}/metrics")


@contextlib.contextmanager
def proxy(folder: pathlib.Path, server: int) -> Iterator[int]:
    """Run the proxy in Python; yield its port."""
    port = find_port("127.0.0.1", 0)
    command = [sys.executable, __file__, "--proxy", str(port), str(server)]
    with running(command, folder / "proxy.log") as process:
        serving.wait_for(port, process, folder / "proxy.log")
        yield port


def serve_proxy(port: int, server: int) -> None:
    """Pass requests on to the server, as bytes, with grpcio."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{server}") as channel:
        call = channel.unary_unary(serving.PREDICT)
        method = grpc.unary_unary_rpc_method_handler(lambda request, _: call(request))
        proxy = grpc.server(concurrent.futures.ThreadPoolExecutor(CONCURRENCY))
        handler = grpc.method_handlers_generic_handler(serving.PREDICT.split("/")[1], {"Predict": method})
        proxy.add_generic_rpc_handlers((handler,))
        proxy.add_insecure_port(f"127.0.0.1:{port}")
        proxy.start()
        proxy.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
