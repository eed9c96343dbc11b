"""Compare requests per second and latencies of the model server with two reference servers.

    .venvs/model/bin/python tests/benchmarks/serving.py

Three servers answer the same Predict requests over loopback: this server; a plain gRPC server around
`tf.saved_model.load`; and a server that returns constant bytes without a model, the upper limit of gRPC in Python. They
alternate within each row, so that load on the machine affects all of them. Targets at concurrency 8: at least 2.5 times
the plain server, and at least 55 % of the limit.
"""

import argparse
import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from typing import Any

FEATURES = 20
BATCHES = (1, 64)
CONCURRENCIES = (1, 8, 32)
ROUNDS = 5
SERVERS = ("plain", "tiffin", "constant")  # servers that are compared are adjacent
PREDICT = "/tensorflow.serving.PredictionService/Predict"
PLAIN_TARGET, LIMIT_TARGET = 2.5, 0.55


def main() -> int:
    """Run one role: the benchmark, or one of its processes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=0.5, help="duration of one measurement (default: 0.5)")
    parser.add_argument("--role", choices=["all", "plain", "constant", "load", "model"], default="all")
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    roles = {"plain": serve_plain, "constant": serve_constant, "load": make_load, "model": save_model}
    if options.role != "all":
        roles[options.role](*options.arguments)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return benchmark(pathlib.Path(folder), options.seconds)


def benchmark(folder: pathlib.Path, seconds: float) -> int:
    """Measure all servers and print the table; return 1 if a target is missed."""
    start = time.monotonic()
    run("--role=model", str(folder / "model" / "1"))
    for batch in BATCHES:
        (folder / f"request-{batch}").write_bytes(predict_request(batch))
    # Requests per second by server, batch and concurrency, one value per round.
    rates: dict[tuple[str, int, int], list[float]] = {}
    with contextlib.ExitStack() as stack:
        ports = {name: stack.enter_context(server(name, folder)) for name in SERVERS}
        loads = [stack.enter_context(load()) for _ in range(2)]
        (folder / "reply").write_bytes(call_once(ports["tiffin"], (folder / "request-1").read_bytes()))
        for name in SERVERS:
            for batch in BATCHES:
                measure(loads, ports[name], folder / f"request-{batch}", 8, 0.5)
        print(f"{'batch':>5} {'concurrency':>11}  {'server':<10} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8}")
        for batch, concurrency in itertools.product(BATCHES, CONCURRENCIES):
            request = folder / f"request-{batch}"
            rounds = [
                {name: measure(loads, ports[name], request, concurrency, seconds) for name in SERVERS}
                for _ in range(ROUNDS)
            ]
            for name in SERVERS:
                measured = [one[name] for one in rounds]
                rates[name, batch, concurrency] = [rate for rate, _, _ in measured]
                rate, p50, p99 = (statistics.median(values) for values in zip(*measured, strict=True))
                print(f"{batch:>5} {concurrency:>11}  {name:<10} {rate:>10.0f} {p50:>8.2f} {p99:>8.2f}", flush=True)
    is_met = print_targets(rates)
    print(f"{time.monotonic() - start:.0f} s")
    return int(not is_met)


def print_targets(rates: dict[tuple[str, int, int], list[float]]) -> bool:
    """Print the results at concurrency 8; return whether the server meets its targets.

    The result is the median of the ratios within each round.
    """
    met = []
    for batch in BATCHES:
        plain, limit = (
            statistics.median(
                one / other for one, other in zip(rates["tiffin", batch, 8], rates[peer, batch, 8], strict=True)
            )
            for peer in ("plain", "constant")
        )
        met.append(plain >= PLAIN_TARGET and limit >= LIMIT_TARGET)
        print(
            f"batch {batch}, concurrency 8: {plain:.1f} times plain (target {PLAIN_TARGET}), "
            f"{limit:.0%} of the limit (target {LIMIT_TARGET:.0%}): {'met' if met[-1] else 'missed'}"
        )
    return all(met)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a role of this file in a separate process until it ends."""
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=quiet())


def quiet() -> dict[str, str]:
    """Return an environment without TensorFlow's log messages and without GPUs."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}


@contextlib.contextmanager
def server(name: str, folder: pathlib.Path) -> Iterator[int]:
    """Run a server; yield its port once it accepts connections."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    module = ["-m", "tiffin.model_server", f"--port={port}", "--model_name=m", f"--model_base_path={folder / 'model'}"]
    commands = {
        "tiffin": module,
        "plain": [__file__, "--role=plain", str(port), str(folder / "model" / "1")],
        "constant": [__file__, "--role=constant", str(port), str(folder / "reply")],
    }
    with open(folder / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, *commands[name]], stdout=log, stderr=log, env=quiet(), start_new_session=True
        )
    try:
        wait_for(port, process, folder / f"{name}.log")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes], log: pathlib.Path) -> None:
    """Wait until a port is open."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise SystemExit(f"A server did not start:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def load() -> Iterator[Any]:
    """Run a process that generates load; yield a function that requests load and returns the latencies."""
    command = [sys.executable, __file__, "--role=load"]
    # A session of its own, as services and clients have: Linux may share the processor by sessions.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=quiet(), start_new_session=True
    ) as process:

        def order(*arguments: Any) -> list[Any]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps(arguments) + "\n")
            process.stdin.flush()
            return list(json.loads(process.stdout.readline()))

        yield order
        process.terminate()


def measure(
    loads: list[Any], port: int, request: pathlib.Path, concurrency: int, seconds: float
) -> tuple[float, float, float]:
    """Return requests per second, and the latencies p50 and p99 in milliseconds.

    The load comes from separate processes: two of them if the concurrency is above 1.
    """
    shares = [concurrency] if concurrency == 1 else [concurrency // 2] * 2
    with concurrent.futures.ThreadPoolExecutor(len(shares)) as pool:
        orders = [pool.submit(loads[index], port, str(request), share, seconds) for index, share in enumerate(shares)]
        results = [order.result() for order in orders]
    rate = sum(len(latencies) / elapsed for elapsed, latencies in results)
    latencies = sorted(latency for _, values in results for latency in values)
    return rate, *(latencies[int(len(latencies) * share)] * 1000 for share in (0.5, 0.99))


def make_load() -> None:
    """Read orders as lines of JSON: send a request repeatedly, and return the latencies."""
    import grpc

    def send(port: int, request: str, concurrency: int, seconds: float) -> tuple[float, list[float]]:
        content = pathlib.Path(request).read_bytes()
        latencies: list[float] = []
        with grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(PREDICT)
            for _ in range(3):
                call(content, timeout=20)
            start = time.perf_counter()

            def repeat() -> None:
                before = time.perf_counter()
                while before < start + seconds:
                    call(content, timeout=20)
                    after = time.perf_counter()
                    latencies.append(after - before)
                    before = after

            threads = [threading.Thread(target=repeat) for _ in range(concurrency)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return time.perf_counter() - start, latencies

    for line in sys.stdin:
        sys.stdout.write(json.dumps(send(*json.loads(line))) + "\n")
        sys.stdout.flush()


def call_once(port: int, request: bytes) -> bytes:
    """Return the reply to one request."""
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return bytes(channel.unary_unary(PREDICT)(request, timeout=30, wait_for_ready=True))


def predict_request(batch: int) -> bytes:
    """Return a PredictRequest as most clients send it: typed values, not tensor_content."""
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    tensor = request.inputs["x"]
    tensor.dtype = 1
    tensor.tensor_shape.dim.add(size=batch)
    tensor.tensor_shape.dim.add(size=FEATURES)
    tensor.float_val.extend([0.5] * (batch * FEATURES))
    return bytes(request.SerializeToString())


def save_model(path: str) -> None:
    """Save a small dense model: 20 features, two hidden layers of 64."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    sizes = (FEATURES, 64, 64, 1)
    module = tf.Module()
    module.weights = [tf.Variable(random.normal(size=pair).astype(np.float32)) for pair in itertools.pairwise(sizes)]

    @tf.function(input_signature=[tf.TensorSpec([None, FEATURES], tf.float32, name="x")])  # type: ignore[untyped-decorator]
    def score(x: Any) -> dict[str, Any]:
        for weight in module.weights[:-1]:
            x = tf.nn.relu(x @ weight)
        return {"score": tf.sigmoid(x @ module.weights[-1])}

    tf.saved_model.save(module, path, signatures=score)


def serve_plain(port: str, path: str) -> None:
    """Serve with a plain servicer around `tf.saved_model.load`."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    signature = tf.saved_model.load(path).signatures["serving_default"]

    class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
        def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
            inputs = {name: tf.constant(tf.make_ndarray(tensor)) for name, tensor in request.inputs.items()}
            response = predict_pb2.PredictResponse()
            for name, tensor in signature(**inputs).items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(tensor.numpy()))
            return response

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Servicer(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def serve_constant(port: str, reply: str) -> None:
    """Return the same bytes for every request."""
    import grpc

    # The servers start together; the reply of the first is written later.
    path = pathlib.Path(reply)
    content: list[bytes] = []

    def answer(_request: bytes, _context: Any) -> bytes:
        if not content:
            content.append(path.read_bytes())
        return content[0]

    handler = grpc.unary_unary_rpc_method_handler(answer)
    service, method = PREDICT.strip("/").split("/")
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: handler})])
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    sys.exit(main())
