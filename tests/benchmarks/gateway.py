"""Compare requests per second through the gateway with requests to the server itself, and through a proxy in Python.

    .venvs/model/bin/python tests/benchmarks/gateway.py

One model server answers the same Predict requests directly, through Envoy as the gateway runs it, through the same with the
recorder of the prediction log, and through a plain gRPC proxy in Python. They alternate within each round, so that load on
the machine affects all of them. Targets at concurrency 8: the gateway passes on at least 1.5 times the requests of the proxy,
and the recorder costs at most 5 % of them.

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
from collections.abc import Iterator

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import serving
from tiffin.local.environments import find_python
from tiffin.local.gateway import read_recorded
from tiffin.local.ports import find_port

ROUNDS = 12
# Of load before each measurement through Envoy, until the recorder's share no longer changes.
SETTLING_SECONDS = 4.0
CONCURRENCY = 8
PROXY_TARGET, RECORDER_TARGET = 1.5, 0.05
WAYS = ("direct", "gateway", "recorded", "proxy")


def main() -> int:
    """Run the benchmark, or the proxy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=2.0, help="duration of one measurement (default: 2)")
    parser.add_argument("--all", action="store_true", help="send the recorder all requests, whether it has time or not")
    parser.add_argument("--proxy", nargs=2, metavar=("PORT", "SERVER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        serve_proxy(*map(int, options.proxy))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return benchmark(pathlib.Path(folder), options.seconds, throttled=not options.all)


def benchmark(folder: pathlib.Path, seconds: float, *, throttled: bool) -> int:
    """Measure all ways and print the table; return 1 if a target is missed."""
    serving.run("--role=model", str(folder / "model" / "1"))
    request = folder / "request"
    request.write_bytes(serving.predict_request(1))
    rounds: list[dict[str, tuple[float, float, float]]] = []
    with contextlib.ExitStack() as stack:
        direct = stack.enter_context(serving.server("tiffin", folder))
        ports = {"direct": direct, "proxy": stack.enter_context(proxy(folder, direct))}
        recorder = stack.enter_context(record(folder / "log", throttled=throttled))
        ports["gateway"] = stack.enter_context(gateway(folder / "plain", direct))
        ports["recorded"] = stack.enter_context(gateway(folder / "recorded", direct, recorder))
        loads = [stack.enter_context(serving.load()) for _ in range(2)]
        for way in WAYS:
            serving.measure(loads, ports[way], request, CONCURRENCY, seconds)
        before = recorder.count()
        for _ in range(ROUNDS):
            # In another order each time, since one way may leave work for the next.
            rounds.append({})
            for way in random.sample(WAYS, len(WAYS)):
                if way in ("gateway", "recorded"):
                    serving.measure(loads, ports[way], request, CONCURRENCY, SETTLING_SECONDS)
                rounds[-1][way] = serving.measure(loads, ports[way], request, CONCURRENCY, seconds)
        time.sleep(2)  # until Envoy has sent its last entries
        sent, left_out = (after - number for after, number in zip(recorder.count(), before, strict=True))
    print(f"{'concurrency 8':<14} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8}")
    for way in WAYS:
        rate, p50, p99 = (statistics.median(values) for values in zip(*(one[way] for one in rounds), strict=True))
        print(f"{way:<14} {rate:>10.0f} {p50:>8.2f} {p99:>8.2f}")
    print(
        f"the recorder got {sent / (sent + left_out):.0%} of the requests; the other {left_out} are counted as left out"
    )
    return print_targets(rounds)


def print_targets(rounds: list[dict[str, tuple[float, float, float]]]) -> int:
    """Print the medians of the ratios within each round; return 1 if a target is missed."""

    def ratio(one: str, other: str) -> float:
        return statistics.median(measured[one][0] / measured[other][0] for measured in rounds)

    faster, cost = ratio("gateway", "proxy"), 1 - ratio("recorded", "gateway")
    each = [measured["recorded"][0] / measured["gateway"][0] for measured in rounds]
    error = statistics.stdev(each) / len(each) ** 0.5
    met = faster >= PROXY_TARGET, cost <= RECORDER_TARGET
    print(f"the gateway passes on {ratio('gateway', 'direct'):.0%} of the requests that the server answers directly")
    print(f"{faster:.1f} times the proxy in Python (target {PROXY_TARGET}): {'met' if met[0] else 'missed'}")
    print(
        f"the recorder costs {cost:.1%}, with a standard error of {error:.1%} (target {RECORDER_TARGET:.0%}): {'met' if met[1] else 'missed'}"
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
