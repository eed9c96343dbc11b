"""Rollouts with limits on answers, beside a stand-in for the gateway's pages."""

import http.server
import itertools
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from support import logged
from support.serving_roots import ADA, make_saved_model, put
from tiffin.gateway.routes import APPLIED
from tiffin.gateway.table import parse_table
from tiffin.rollout import course
from tiffin.rollout.document import Rollout
from tiffin.rollout.driving import Pace, drive
from tiffin.rollout.places import Places
from tiffin.rollout.plan import Limits, Step, Strategy
from tiffin.serving.root import GATEWAY, ServedModel

# Times of rollouts are whole seconds.
PACE = Pace(look=0.05, load=0.5, traffic=3.0)
MIRROR, WEIGHT = Step(mirror=100.0, minutes=0.0, min_requests=20), Step(weight=50.0, minutes=0.0, min_requests=20)
AGREE = Limits(min_agreement=0.9)


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    served = ServedModel(str(tmp_path / "root"), "taxi")
    put(served, make_saved_model(tmp_path), 1)
    served.publish(tmp_path / "saved_model", 2)
    return served


@pytest.fixture
def address(taxi: ServedModel) -> Iterator[str]:
    """Pages of a gateway that has sent 100 more requests to each side at each look, all answered."""
    looks = itertools.count()

    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = 100 * next(looks)
            stats = [
                {"name": f"cluster.taxi/{route}/grpc.grpc.success", "value": number}
                for route in ("stable", "mirror", "candidate")
            ]
            content = json.dumps({"stats": stats})
            if self.path == APPLIED:
                file = Path(taxi.root, GATEWAY)
                content = parse_table((file.read_bytes(), "") if file.exists() else None, taxi.root).digest
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def rows(*routes: str, pairs: int = 40, difference: float = 0.0) -> list[dict[str, Any]]:
    now = datetime.now(UTC)
    return [
        logged.row(route, 1 + (route != "stable"), f"{number}", now, output_y=number + difference * (route != "stable"))
        for number in range(pairs)
        for route in routes
    ]


def roll_out(
    taxi: ServedModel, address: str, step: Step, limits: Limits, log: Path | None, *routes: str, **answers: Any
) -> tuple[Rollout, list[str]]:
    """Roll version 2 out while the log has rows of the routes, and return the rollout and the lines told."""
    strategy: Strategy = "shadow" if step.mirror else "canary"
    started = course.start(taxi, 2, ADA, strategy=strategy, steps=(step,), limits=limits)
    course.begin(taxi, started.id)
    if log and routes:
        logged.write(log, rows(*routes, **answers))
    lines: list[str] = []
    # No server is at port 1.
    places = Places("127.0.0.1:1", "127.0.0.1:1", address, f"http://{address}", str(log or ""))
    return drive(taxi, started.id, lambda: places, PACE, lines.append), lines


def test_without_a_log_a_limit_cannot_be_tested(taxi: ServedModel, address: str) -> None:
    ended, lines = roll_out(taxi, address, MIRROR, AGREE, None)

    assert (ended.outcome, ended.by) == ("inconclusive", course.ANALYSIS)
    assert any("not recorded" in line for line in lines)


def test_too_few_answers_are_inconclusive(taxi: ServedModel, address: str, tmp_path: Path) -> None:
    ended, _ = roll_out(taxi, address, MIRROR, AGREE, tmp_path, "stable", "mirror", pairs=19)

    assert (ended.outcome, ended.step) == ("inconclusive", 0)
    assert ended.progress
    assert ended.progress.requests > 20


def test_without_a_limit_answers_are_not_waited_for(taxi: ServedModel, address: str, tmp_path: Path) -> None:
    """The version is then promoted, but no server loads it."""
    ended, lines = roll_out(taxi, address, MIRROR, Limits(), tmp_path)

    assert any("promoting" in line for line in lines)
    assert ended.outcome == "aborted"


@pytest.mark.parametrize(("difference", "is_worse"), [(0.0, False), (1.0, True)])
def test_agreement_decides(taxi: ServedModel, address: str, tmp_path: Path, difference: float, is_worse: bool) -> None:
    ended, lines = roll_out(taxi, address, MIRROR, AGREE, tmp_path, "stable", "mirror", difference=difference)

    assert (ended.outcome, any("promoting" in line for line in lines)) == ("aborted", not is_worse)
    assert ended.progress
    assert ended.progress.answers == ("agreement",) * is_worse
    assert ("0 of 40" in ended.reason) == is_worse


@pytest.mark.parametrize(("difference", "is_worse"), [(0.0, False), (1000.0, True)])
def test_distance_decides(taxi: ServedModel, address: str, tmp_path: Path, difference: float, is_worse: bool) -> None:
    limits, routes = Limits(max_distance=0.2), ("stable", "candidate")
    ended, lines = roll_out(taxi, address, WEIGHT, limits, tmp_path, *routes, pairs=800, difference=difference)

    assert (ended.outcome, any("promoting" in line for line in lines)) == ("aborted", not is_worse)
    assert ended.progress
    assert ended.progress.answers == ("predictions",) * is_worse
    assert ("'y'" in ended.reason) == is_worse


def test_answers_that_cannot_be_read_are_told(taxi: ServedModel, address: str, tmp_path: Path) -> None:
    Path(taxi.locate("rollout-answers.json")).write_text("{")
    ended, lines = roll_out(taxi, address, MIRROR, AGREE, tmp_path, "stable", "mirror")

    assert ended.outcome == "inconclusive"
    assert any("rollout-answers.json" in line for line in lines)
