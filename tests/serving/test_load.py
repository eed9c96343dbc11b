"""The pace of a load, and the load that tests send to model servers: tests/support/load.py."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest

import tiffin.serving.load
from support import load, model_servers
from support.waiting import until
from tiffin.errors import InputError, ServingError
from tiffin.serving.load import Answer, Course, Ending, Pace, send_load

INPUTS = {"miles": [[1.5]], "passengers": [[2]], "company": [["a"]]}


def sent(send: Callable[[int], Any], pace: Pace, ending: Ending | None = None) -> tuple[Course, list[Answer]]:
    """Send the numbers from 1 on, and return the course and the answers."""
    answers: list[Answer] = []
    taken = iter(range(1, 1_000_000))

    async def take() -> int:
        return next(taken)

    return asyncio.run(send_load(take, send, pace, answers.append, ending or Ending())), answers


async def succeed(request: int) -> int:
    return request % 2


async def never(_request: int) -> None:
    await asyncio.sleep(3600)


class TestSteadily:
    """Requests at a rate."""

    def test_no_time(self) -> None:
        course, answers = sent(succeed, Pace(per_second=100, seconds=0))

        assert (answers, course.unsent, course.is_full) == ([], 0, False)

    @pytest.mark.parametrize("end", [{"requests": 20}, {"requests": 20, "seconds": 60}])
    def test_the_rate(self, end: dict[str, Any]) -> None:
        course, answers = sent(succeed, Pace(per_second=200, **end))

        assert [(one.request, one.code, one.version) for one in answers] == [
            (number, "OK", number % 2) for number in range(1, 21)
        ]
        assert [one.due_seconds for one in answers] == pytest.approx([number / 200 for number in range(20)])
        assert all(0 <= one.late_seconds <= one.seconds for one in answers)
        # Each request has its time, the last one too.
        assert course.sending_seconds >= 0.1

    def test_requests_do_not_wait_for_earlier_ones(self) -> None:
        running = []

        async def send(request: int) -> None:
            running.append(request)
            while len(running) < 10:
                await asyncio.sleep(0.001)

        assert len(sent(send, Pace(per_second=1000, requests=10))[1]) == 10

    def test_errors_are_counted(self) -> None:
        async def send(request: int) -> None:
            if request == 2:
                raise ServingError("full", "RESOURCE_EXHAUSTED")
            if request == 3:
                raise ValueError("odd")

        _, answers = sent(send, Pace(per_second=1000, requests=4))

        assert sorted((one.request, one.code, one.message) for one in answers) == [
            *((1, "OK", ""), (2, "RESOURCE_EXHAUSTED", "full"), (3, "ValueError", "odd"), (4, "OK", ""))
        ]

    def test_what_is_due_while_the_process_stalls(self) -> None:
        async def send(request: int) -> None:
            if request == 1:
                time.sleep(0.2)

        _, answers = sent(send, Pace(per_second=100, requests=10))

        # The second request was due after 10 ms; its latency counts from then.
        assert answers[1].late_seconds > 0.1
        assert answers[1].seconds >= answers[1].late_seconds

    def test_what_cannot_be_sent_in_time(self) -> None:
        async def send(_request: int) -> None:
            time.sleep(0.6)

        course, answers = sent(send, Pace(per_second=1000, seconds=0.1))

        assert len(answers) + course.unsent == 100
        assert course.unsent > 90

    def test_requests_under_way_are_limited(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tiffin.serving.load, "MAX_RUNNING", 3)
        now = [0, 0]

        async def send(_request: int) -> None:
            now[0] += 1
            now[1] = max(now)
            await asyncio.sleep(0.01)
            now[0] -= 1

        course, answers = sent(send, Pace(per_second=10_000, requests=20))

        assert (len(answers), now[1], course.is_full) == (20, 3, True)

    def test_an_ending(self) -> None:
        ending = Ending()

        async def send(request: int) -> None:
            ending.is_asked = request == 3

        course, answers = sent(send, Pace(per_second=1000), ending)

        assert 3 <= len(answers) <= 4
        assert course.unsent == 0

    def test_an_urgent_ending(self) -> None:
        ending = Ending()

        async def send(request: int) -> None:
            ending.is_urgent = request == 2
            await never(request)

        _, answers = sent(send, Pace(per_second=1000, requests=2), ending)

        assert [one.code for one in answers] == ["CANCELLED", "CANCELLED"]

    def test_no_further_request(self) -> None:
        answers: list[Answer] = []
        taken = iter([1])

        async def take() -> int:
            await asyncio.sleep(0)  # the request before starts
            number = next(taken, None)
            if number is None:
                raise InputError("gone")
            return number

        with pytest.raises(InputError, match="gone"):
            asyncio.run(send_load(take, never, Pace(per_second=1000), answers.append, Ending()))
        assert [one.code for one in answers] == ["CANCELLED"]


class TestInTurn:
    """Requests of a number of clients."""

    def test_no_time(self) -> None:
        assert sent(succeed, Pace(concurrency=3, seconds=0))[1] == []

    def test_clients_wait_for_their_answers(self) -> None:
        now = [0, 0]

        async def send(request: int) -> None:
            now[0] += 1
            now[1] = max(now)
            await asyncio.sleep(0.001)
            now[0] -= 1
            if request == 5:
                raise ServingError("no", "INTERNAL")

        course, answers = sent(send, Pace(concurrency=3, requests=20))

        assert now[1] == 3
        assert sorted(one.request for one in answers) == [*range(1, 21)]
        assert [one.request for one in answers if one.code == "INTERNAL"] == [5]
        assert course.unsent == 0

    def test_a_time(self) -> None:
        course, answers = sent(succeed, Pace(concurrency=1, seconds=0.05))

        assert answers
        assert course.seconds >= 0.05

    def test_an_ending(self) -> None:
        ending = Ending()

        async def send(request: int) -> None:
            await asyncio.sleep(0)
            ending.is_asked = ending.is_asked or request == 7

        assert 7 <= len(sent(send, Pace(concurrency=2), ending)[1]) <= 9

    def test_no_further_request(self) -> None:
        async def take() -> int:
            raise InputError("gone")

        with pytest.raises(InputError, match="gone"):
            asyncio.run(send_load(take, succeed, Pace(concurrency=2), lambda _: None, Ending()))


class TestLoadOfTests:
    """tests/support/load.py."""

    def test_a_load_of_no_time(self) -> None:
        with (
            model_servers.serve() as server,
            load.sent_to(server.address, "taxi", INPUTS, per_second=100, seconds=0) as requests,
        ):
            found = requests.wait()

        assert (found.requests, found.failed, found.failures) == (0, 0, {})

    def test_a_load_for_a_time(self) -> None:
        with (
            model_servers.serve() as server,
            load.sent_to(server.address, "taxi", INPUTS, per_second=50, seconds=2) as requests,
        ):
            found = requests.wait()

        assert found.codes == {"OK": 100}
        assert 0 < found.p50_seconds <= found.p99_seconds <= found.seconds
        # With the one before the load.
        assert server.calls("Predict") == 101

    def test_a_load_until_it_is_stopped(self) -> None:
        with model_servers.serve() as server, load.sent_to(server.address, "taxi", INPUTS, per_second=50) as requests:
            server.answers["Predict"] = model_servers.fail_times(3, grpc.StatusCode.INTERNAL, server.Predict)
            assert until(lambda: server.calls("Predict") > 10)
            found = requests.stop()

        assert found.codes == {"OK": found.requests - 3, "INTERNAL": 3}
        assert found.failed == 3
        [(message, number)] = found.failures.items()
        assert "injected failure" in message  # contract: model_servers.fail_times
        assert number == 3
