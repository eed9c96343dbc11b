"""Measure the recorder of the prediction log, beside a server of Envoy's filter ext_proc.

    .venvs/gateway/bin/python tests/benchmarks/recorder.py [--requests 500000]

Another process sends requests of a model with 20 inputs and 2 outputs, one row each, as Envoy's access log has them: about
64 KiB in each message of one stream. The recorder decodes them and writes Parquet. The peer is a gRPC server in Python that
ext_proc would call: one stream per request with the headers and the bodies of request and response, which it receives and drops.

Targets: the recorder takes a fifth of the CPU time per request or less, and the most memory of later fifths of the requests is at
most 10 % above that of the first one.
"""

import argparse
import base64
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import grpc
import numpy as np
from envoy.service.accesslog.v3 import als_pb2
from envoy.service.ext_proc.v3 import external_processor_pb2 as proc
from envoy.service.ext_proc.v3 import external_processor_pb2_grpc as proc_grpc

from support import access_log

DISTINCT = 2000
ENTRIES = 20  # in a message
CHUNK = 10_000
PEER_REQUESTS = 3000
LEAST_RATIO = 5
MOST_GROWTH = 0.1


def make_entries() -> list[Any]:
    """Return entries of requests with different values, during this hour."""
    random = np.random.default_rng(0)
    now = time.time() // 3600 * 3600
    entries = []
    for number in range(DISTINCT):
        inputs: dict[str, Any] = {f"number_{index:02}": random.normal(size=(1, 1)) for index in range(12)}
        inputs |= {f"count_{index:02}": random.integers(0, 1000, (1, 1)) for index in range(4)}
        inputs |= {f"text_{index:02}": np.array([[b"value-%d" % random.integers(50)]], object) for index in range(4)}
        outputs = {"probability": random.random((1, 1)), "classes": np.array([[b"no", b"yes"]], object)}
        request_id = f"b90fc274-8259-4115-b832-{number:012}"
        entries.append(access_log.predict(inputs, outputs, request_id=request_id, key=f"customer-{number}", time=now))
    return entries


def make_messages() -> list[bytes]:
    """Return messages of the access log, of about 64 KiB."""
    entries, messages = make_entries(), []
    for start in range(0, DISTINCT, ENTRIES):
        message = als_pb2.StreamAccessLogsMessage()
        message.http_logs.log_entry.extend(entries[start : start + ENTRIES])
        messages.append(message.SerializeToString())
    return messages


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def measure_recorder(requests: int) -> tuple[float, float, list[float], float]:
    """Return requests per second, CPU time per request in µs, largest memory of each fifth, and bytes per request."""
    messages = itertools.cycle(make_messages())
    with tempfile.TemporaryDirectory() as folder:
        options = ("--queue", str(4 * CHUNK), "--max-file-age", "5s", "--keep-priority")
        with access_log.recorder(Path(folder, "log"), *options, errors=Path(folder, "errors")) as place:
            pid, memory = place.process.pid, [0.0] * 5

            def paced() -> Iterator[bytes]:
                for sent in range(0, requests, CHUNK):
                    yield from itertools.islice(messages, CHUNK // ENTRIES)
                    # Envoy would not wait, and the queue would be full.
                    while True:
                        # A page of metrics costs as much as ten requests.
                        for _ in range(10):
                            memory[sent * 5 // requests] = max(memory[sent * 5 // requests], resident_mib(pid))
                            time.sleep(0.02)
                        if place.metric("requests_total") >= sent - CHUNK:
                            break

            before, started = cpu_seconds(pid), time.monotonic()
            with grpc.insecure_channel(place.address) as channel:
                channel.stream_unary("/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs")(paced())
            assert place.wait_for("requests_total", requests, seconds=60)
            seconds, cpu = time.monotonic() - started, cpu_seconds(pid) - before
            place.stop()
            size = sum(path.stat().st_size for path in Path(folder, "log").rglob("*.parquet"))
    return requests / seconds, cpu / requests * 1e6, memory, size / requests


class _Processor(proc_grpc.ExternalProcessorServicer):
    def Process(self, request_iterator: Iterator[Any], context: Any) -> Iterator[Any]:  # noqa: N802 - its name in gRPC
        for _ in request_iterator:
            pass
        yield from ()


def serve_processor(connection: Any) -> None:
    """Serve ext_proc until the process is ended."""
    server = grpc.server(futures.ThreadPoolExecutor(8))
    proc_grpc.add_ExternalProcessorServicer_to_server(_Processor(), server)
    connection.send(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    server.wait_for_termination()


def measure_peer(requests: int) -> tuple[float, float]:
    """Return requests per second, and CPU time per request in µs, of a server of ext_proc."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_processor, args=(there,), daemon=True)
    server.start()
    port = here.recv()
    bodies = []
    for entry in make_entries()[:200]:
        fields = entry.common_properties.metadata.filter_metadata["tiffin"].fields
        request, response = (base64.b64decode(fields[name].string_value) for name in ("request", "response"))
        headers = proc.HttpHeaders()
        headers.headers.headers.add(key=":path", raw_value=entry.request.path.encode())
        bodies.append(
            [
                proc.ProcessingRequest(request_headers=headers),
                proc.ProcessingRequest(request_body=proc.HttpBody(body=request, end_of_stream=True)),
                proc.ProcessingRequest(response_headers=headers),
                proc.ProcessingRequest(response_body=proc.HttpBody(body=response, end_of_stream=True)),
            ]
        )
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, futures.ThreadPoolExecutor(8) as pool:
        stub = proc_grpc.ExternalProcessorStub(channel)

        def call(number: int) -> None:
            list(stub.Process(iter(bodies[number % len(bodies)])))

        call(0)
        before, started = cpu_seconds(server.pid or 0), time.monotonic()
        list(pool.map(call, range(requests)))
        seconds, cpu = time.monotonic() - started, cpu_seconds(server.pid or 0) - before
    server.terminate()
    server.join()
    return requests / seconds, cpu / requests * 1e6


def main() -> int:
    """Print the table; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--requests", type=int, default=500_000, help="requests to the recorder (default: 500000)")
    requests = parser.parse_args().requests // (5 * CHUNK) * 5 * CHUNK or 5 * CHUNK
    # Before and after, since other programs of the machine change the times.
    first = measure_peer(PEER_REQUESTS // 2)
    rate, cpu, memory, size = measure_recorder(requests)
    peer_rate, peer_cpu = (sum(both) / 2 for both in zip(first, measure_peer(PEER_REQUESTS // 2), strict=True))
    print(f"{'':<34} {'requests':>9} {'per second':>11} {'CPU µs each':>12}")
    print(f"{'recorder: decode, write Parquet':<34} {requests:>9,} {rate:>11,.0f} {cpu:>12.0f}")
    print(f"{'peer: ext_proc, receive only':<34} {PEER_REQUESTS:>9,} {peer_rate:>11,.0f} {peer_cpu:>12.0f}")
    ratio, growth = peer_cpu / cpu, max(memory[1:]) / memory[0] - 1
    print(f"CPU of the peer: {ratio:.1f} times (target: {LEAST_RATIO}): {'met' if ratio >= LEAST_RATIO else 'missed'}")
    listed = ", ".join(f"{value:.0f}" for value in memory)
    print(f"most memory of each fifth: {listed} MiB; growth {growth:.0%} (target: {MOST_GROWTH:.0%} at most): "
          f"{'met' if growth <= MOST_GROWTH else 'missed'}")  # fmt: skip
    print(f"Parquet: {size:.0f} bytes per request")
    return int(ratio < LEAST_RATIO or growth > MOST_GROWTH)


if __name__ == "__main__":
    sys.exit(main())
