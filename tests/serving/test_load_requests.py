import asyncio
import functools
from typing import Any

import grpc
import numpy as np
import pytest

from support import model_servers
from tiffin.errors import ServingError
from tiffin.serving import messages, tensors, wire
from tiffin.serving.load_requests import Form, Request, Sender, make_requests
from tiffin.serving.rows import Row, select_inputs
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.serving.stream import one_by_one


def form(shape: tuple[int | None, ...] = (None,), **options: Any) -> Form:
    signature = Signature({"x": TensorSpec("int64", shape)}, {"y": TensorSpec("int64", (None,))})
    select = one_by_one(functools.partial(select_inputs, signature=signature))
    return Form(("taxi", None, None), "explain", signature, select, **options)


def rows(*values: Any) -> list[Row]:
    return [Row(number, number, {"x": value}) for number, value in enumerate(values, start=1)]


def made(given: list[Row], of: Form) -> list[Any]:
    """Return the values of each request, and the number of each row that cannot be sent."""
    return [
        tensors.from_proto(wire.PredictRequest.FromString(one.message).inputs["x"]).tolist()
        if isinstance(one, Request)
        else one.row.number
        for one in make_requests(given, of)
    ]


def test_no_rows() -> None:
    assert made([], form()) == []


def test_a_request() -> None:
    [request] = make_requests(rows(7), form())

    assert isinstance(request, Request)
    sent = wire.PredictRequest.FromString(request.message)
    assert (sent.model_spec.name, sent.model_spec.signature_name) == ("taxi", "explain")
    assert (request.rows, request.headers) == (1, (("x-tiffin-model", "taxi"),))


@pytest.mark.parametrize(("size", "expected"), [(1, [[1], [2], [3]]), (2, [[1, 2], [3]]), (1000, [[1, 2, 3]])])
def test_rows_of_a_request(size: int, expected: list[list[int]]) -> None:
    assert made(rows(1, 2, 3), form(batch_size=size)) == expected


def test_rows_that_cannot_be_sent() -> None:
    given = [*rows(1, 2.5, 3, "x", 5), Row(6, 6, None, "no JSON"), Row(7, 7, {"z": 1})]

    found = made(given, form(batch_size=5))

    assert [one for one in found if isinstance(one, list)] == [[1], [3], [5]]
    assert sorted(one for one in found if isinstance(one, int)) == [2, 4, 6, 7]


def test_lists_of_different_lengths() -> None:
    assert made(rows([1], [2, 3], [4]), form((None, None), batch_size=9)) == [[[1], [4]], [[2, 3]]]


def test_keys() -> None:
    given = [Row(number, None, {"x": 1, "trip": key}) for number, key in enumerate(("a 1", 7, None, "", "ü", " a"), 1)]

    found = list(make_requests([*given, Row(7, None, {"x": 1})], form(key="trip")))

    sent = [dict(one.headers)["x-tiffin-key"] for one in found if isinstance(one, Request)]
    assert sent == ["a 1", "7"]
    assert [one.row.number for one in found if not isinstance(one, Request)] == [3, 4, 5, 6, 7]


class TestSender:
    """Requests of the model `taxi` of model_servers."""

    @staticmethod
    def request() -> Request:
        arrays = {
            "miles": np.array([[1.5]], np.float32),
            "passengers": np.array([[2]]),
            "company": np.array([["a"]], object),
        }
        message = messages.predict_request(("taxi", None, None), arrays).SerializeToString()
        return Request(message, 1, (("x-tiffin-key", "order 7"),))

    @staticmethod
    def send(address: str, request: Request, **options: Any) -> int | None:
        async def send() -> int | None:
            async with Sender(address, "taxi", **{"timeout_seconds": 10.0, **options}) as sender:
                return await sender.send(request)

        return asyncio.run(send())

    def test_the_version_and_the_headers(self) -> None:
        with model_servers.serve() as server:
            assert self.send(server.address, self.request()) == 2
            assert server.headers["x-tiffin-key"] == "order 7"

    def test_a_failure(self) -> None:
        with model_servers.serve() as server:
            server.answers["Predict"] = model_servers.fail_times(1, grpc.StatusCode.INTERNAL, server.Predict)
            with pytest.raises(ServingError) as caught:
                self.send(server.address, self.request())
        assert caught.value.code == "INTERNAL"

    def test_a_server_that_starts_late(self) -> None:
        with model_servers.serve() as server:
            server.answers["Predict"] = model_servers.fail_times(2, grpc.StatusCode.UNAVAILABLE, server.Predict)
            assert self.send(server.address, self.request()) == 2

    def test_no_server(self) -> None:
        with pytest.raises(ServingError) as caught:
            self.send("127.0.0.1:1", Request(b"", 1, ()), timeout_seconds=0.2)
        assert caught.value.code == "UNAVAILABLE"
