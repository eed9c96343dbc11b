"""Requests and errors of a model, as the model servers count them.

TensorFlow Serving counts requests by model and status, without the version, from the start of its process:

    :tensorflow:serving:request_count{model_name="taxi",status="OK"} 1799
    :tensorflow:serving:request_count{model_name="taxi",status="INVALID_ARGUMENT"} 3

The page is Prometheus' text, at the path of `--monitoring_config_file` on the REST port. Its lines are those of
tensorflow/serving's util/prometheus_exporter.cc, which escapes backslashes and quotation marks; each line of this metric is
read as a whole, and one that is not of this form, such as of a model's name with a line break, is left out.
"""

import contextlib
import http.client
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from tiffin.errors import InputError, ServingError

# Environment variable with the URL of the metrics.
VARIABLE = "TIFFIN_SERVING_METRICS"

_METRIC = ":tensorflow:serving:request_count"
_SAMPLE = re.compile(r"(?P<metric>[\w:]+)\{(?P<labels>.*)\}[ \t]+(?P<value>[0-9.eE+]+)([ \t]+-?\d+)?[ \t]*")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_LABELS = re.compile(rf"({_LABEL.pattern})?(,{_LABEL.pattern})*,?")
_ESCAPES = {"\\n": "\n", '\\"': '"', "\\\\": "\\"}
_OK = "OK"

# A page has some 200 lines of 100 bytes for each model, and a client can add 1000 names of models.
_MAX_BYTES = 4 << 20
_SECONDS = 5.0
_AT_ONCE = 16

Parsed = TypeVar("Parsed")
# Host and port -> the IP addresses behind them, as of `resolve`.
Resolve = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Counts:
    """Requests of one model.

    Attributes:
        statuses: Status, such as `OK` or `INVALID_ARGUMENT`, to the number of requests that ended with it.
    """

    statuses: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """Number of requests."""
        return sum(self.statuses.values())

    @property
    def errors(self) -> dict[str, int]:
        """Number of failed requests by status: all but `OK`, the most frequent first."""
        failed = [(status, number) for status, number in self.statuses.items() if status != _OK and number]
        return dict(sorted(failed, key=lambda item: (-item[1], item[0])))

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        return sum(self.errors.values())

    def __add__(self, other: "Counts") -> "Counts":
        names = sorted({*self.statuses, *other.statuses})
        return Counts({name: self.statuses.get(name, 0) + other.statuses.get(name, 0) for name in names})


@dataclass(frozen=True)
class Reading:
    """The counts of one model at one time.

    Attributes:
        servers: IP address of each server that was read, to what it has counted since its process started.
        unread: IP address of a server that could not be read, or the host if it has no address, to the reason.
    """

    servers: Mapping[str, Counts] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def total(self) -> Counts:
        """Requests of all servers since each one started."""
        return sum(self.servers.values(), Counts())


@dataclass(frozen=True)
class _Unread:
    """A server that could not be read, and the reason."""

    why: str


def has_restarted(before: Counts, now: Counts) -> bool:
    """Return whether a server counts from 0 again: a counter only falls if its process started anew."""
    return any(now.statuses.get(status, 0) < number for status, number in before.statuses.items())


def difference(before: Mapping[str, Counts], now: Mapping[str, Counts]) -> Counts:
    """Return the requests between two readings of servers that start, restart and end meanwhile.

    - A server in both readings adds the difference of its counts.
    - A server that restarted in between adds all that it counted since; what it counted between the first reading and its
      end is lost. A restart is only noticed if a counter is lower than before.
    - A server that is only in the second reading adds nothing, since it may have counted for long: an autoscaler's new
      server counts from its first reading on.
    - A server that is only in the first reading adds nothing.
    """
    return sum((_increase(before[server], counts) for server, counts in now.items() if server in before), Counts())


def _increase(before: Counts, now: Counts) -> Counts:
    if has_restarted(before, now):
        return now
    return Counts({status: number - before.statuses.get(status, 0) for status, number in now.statuses.items()})


def check_url(url: str) -> urllib.parse.SplitResult:
    """Return the parts of the metrics' URL.

    Raises:
        InputError: The URL is not `http://host:port/path`.
    """
    example = "Example: http://tiffin-stable-pods:8501/monitoring/prometheus/metrics."
    try:
        parts = urllib.parse.urlsplit(url)
        has_port = bool(parts.port)
    except ValueError:
        has_port = False
    if (
        not has_port
        or parts.scheme != "http"
        or not parts.hostname
        or not parts.path
        or "@" in parts.netloc
        or not url.isascii()
        or not re.fullmatch(r"\S+", url)
    ):
        raise InputError(
            f"{VARIABLE} should be http://host:port/path, the metrics of the model servers on their REST port. "
            f"Received: '{url}'. {example}"
        )
    return parts


def resolve(host: str, port: int) -> list[str]:
    """Return all IPv4 and IPv6 addresses of a host, sorted.

    Raises:
        OSError: The host has none.
    """
    return sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})


def read_counters(url: str, model: str, *, resolve: Resolve = resolve, timeout_seconds: float = _SECONDS) -> Reading:
    """Read the counts of a model from every server behind a URL's host, as `read_pages` does.

    Args:
        url: `http://host:port/path` of the metrics.
        model: Name of the model.
        resolve: Function that returns the IP addresses of a host and a port. Defaults to those of the system.
        timeout_seconds: Time for the whole answer of a server, in seconds. Defaults to 5.

    Returns:
        The counts. A server that cannot be read is in `unread` with the reason.

    Raises:
        InputError: The URL is invalid.
    """
    return Reading(*read_pages(url, lambda page: parse_page(page, model), resolve, timeout_seconds))


def read_pages(
    url: str, parse: Callable[[bytes], Parsed], resolve: Resolve = resolve, timeout_seconds: float = _SECONDS
) -> tuple[dict[str, Parsed], dict[str, str]]:
    """Read the metrics of every server behind a URL's host.

    The servers are asked at the same time, without proxies, and redirects are not followed. If the host has addresses of
    IPv4 and of IPv6, each server is taken to have one of both, so that it would be counted twice: those of one family are
    counted, that of which more answered, or IPv4.

    Args:
        url: `http://host:port/path` of the metrics. In a cluster, the host is a headless Service, which has an address for
            each pod.
        parse: Returns the result of a page, or raises a ServingError.
        resolve: Function that returns the IP addresses of a host and a port. Defaults to those of the system.
        timeout_seconds: Time for the whole answer of a server, in seconds. Defaults to 5.

    Returns:
        IP address of each server that was read, to the result; and of each one that could not be read, or the host if it has
        no address, to the reason.

    Raises:
        InputError: The URL is invalid.
    """
    parts = check_url(url)
    host, port = str(parts.hostname), int(parts.port or 0)
    try:
        addresses = resolve(host, port)
    except OSError as error:
        return {}, {host: f"the name does not resolve ({error.strerror or error})"}
    if not addresses:
        return {}, {host: "the name has no address"}
    target = parts.path + (f"?{parts.query}" if parts.query else "")

    def read(address: str) -> Parsed | _Unread:
        try:
            return parse(_fetch(address, port, parts.netloc, target, timeout_seconds))
        except ServingError as error:
            return _Unread(str(error))

    with ThreadPoolExecutor(min(len(addresses), _AT_ONCE)) as pool:
        answers = dict(zip(addresses, pool.map(read, addresses), strict=True))
    families = [
        {address: answer for address, answer in answers.items() if (":" in address) is is_6} for is_6 in (False, True)
    ]
    # Where no server answered, the reasons of both families are of use.
    counted = max(families, key=_count_read)
    answers = counted if _count_read(counted) else answers
    return (
        {address: answer for address, answer in answers.items() if not isinstance(answer, _Unread)},
        {address: answer.why for address, answer in answers.items() if isinstance(answer, _Unread)},
    )


def _count_read(answers: Mapping[str, object]) -> int:
    return sum(not isinstance(answer, _Unread) for answer in answers.values())


def parse_page(page: bytes, model: str) -> Counts:
    """Return the counts of a model in the text of a server's metrics; none if it has had no request yet.

    Raises:
        ServingError: The page is not that of TensorFlow Serving.
    """
    text = page.decode(errors="replace")
    lines = [line for line in text.split("\n") if _METRIC in line]
    # TensorFlow Serving writes the type of a metric before the first request as well.
    if not any(line.startswith((f"# TYPE {_METRIC} ", f"{_METRIC}{{")) for line in lines):
        start = text.lstrip()[:15].lower()
        what = "an HTML page" if start.startswith(("<!doctype html", "<html")) else f"{len(page)} bytes"
        raise ServingError(f"the answer, {what}, has no metric {_METRIC}")
    counted: dict[str, int] = {}
    for labels, value in find_samples(lines, _METRIC):
        if labels.get("model_name") == model and "status" in labels:
            counted[labels["status"]] = counted.get(labels["status"], 0) + value
    return Counts(counted)


def find_samples(lines: Iterable[str], metric: str) -> Iterator[tuple[dict[str, str], int]]:
    """Yield the labels and the value of each line of a metric, whose values are whole numbers."""
    for line in lines:
        found = _SAMPLE.fullmatch(line.rstrip("\r"))
        if found and found["metric"] == metric and _LABELS.fullmatch(found["labels"]):
            with contextlib.suppress(ValueError, OverflowError):
                value = int(found["value"]) if found["value"].isdigit() else int(float(found["value"]))
                yield {name: _unescaped(text) for name, text in _LABEL.findall(found["labels"])}, value


def _unescaped(text: str) -> str:
    return re.sub(r"\\.", lambda found: _ESCAPES.get(found[0], found[0]), text)


def _fetch(address: str, port: int, host: str, target: str, timeout_seconds: float) -> bytes:
    """Return the content that one server sends.

    Raises:
        ServingError: The server did not send it in time, or sent something else.
    """
    # http.client uses no proxies and follows no redirects.
    connection = http.client.HTTPConnection(address, port, timeout=timeout_seconds)
    opened: list[socket.socket] = []
    late = threading.Event()

    def end() -> None:
        late.set()
        for sock in opened:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    # The timeout of a socket is that of each part, of which a slow server can send many.
    timer = threading.Timer(timeout_seconds, end)
    timer.start()
    try:
        connection.connect()
        opened.append(connection.sock)
        connection.request("GET", target, headers={"Host": host})
        response = connection.getresponse()
        content = response.read(_MAX_BYTES + 1)
        if late.is_set():
            raise TimeoutError
        if response.status != http.HTTPStatus.OK:
            advice = ": the server's metrics are off, or have another path" if response.status == 404 else ""
            raise ServingError(f"HTTP {response.status}{advice}")
        if len(content) > _MAX_BYTES:
            raise ServingError(f"the answer is longer than {_MAX_BYTES >> 20} MiB")
        # Counters that are missing in a part of the page would look like those of a restarted server.
        if response.length:
            raise ServingError("the answer was cut off")
    except (OSError, http.client.HTTPException) as error:
        if late.is_set() or isinstance(error, TimeoutError):
            raise ServingError(f"no answer within {timeout_seconds:g} s") from None
        raise ServingError(getattr(error, "strerror", None) or f"the answer is not HTTP: {error!r}") from None
    finally:
        timer.cancel()
        connection.close()
    return content
