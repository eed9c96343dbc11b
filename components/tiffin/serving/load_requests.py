"""The requests of a load: made from rows, and sent."""

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import grpc
import grpc.aio

from tiffin.errors import InputError
from tiffin.serving import connection, failures, messages, wire
from tiffin.serving.connection import Tls
from tiffin.serving.rows import Row, key_headers
from tiffin.serving.signatures import Signature
from tiffin.serving.stream import Answer, Select, Selected, group_rows, rows_per_request, select_rows, to_arrays

# Rows whose values are selected at once, which is cheaper for derived columns.
_SELECTED_ROWS = 256


@dataclass(frozen=True)
class Request:
    """A request, ready to be sent.

    Attributes:
        message: The serialized PredictRequest.
        rows: Number of rows.
        headers: Headers of the call.
    """

    message: bytes
    rows: int
    headers: connection.Headers


@dataclass(frozen=True)
class Form:
    """How rows become requests.

    Attributes:
        which: Model, and version or label.
        name: Name of the signature in requests; empty for the default one.
        signature: The signature.
        select: Selects the values of rows for the signature.
        batch_size: Rows per request.
        key: Column whose value is sent in the header `x-tiffin-key`; empty for none. Requests then have one row.
    """

    which: messages.Which
    name: str
    signature: Signature
    select: Select
    batch_size: int = 1
    key: str = ""


def make_requests(rows: Iterable[Row], form: Form) -> Iterator[Request | Answer]:
    """Yield requests in the order of the rows, and an answer with the error for each row that cannot be sent."""
    source = iter(rows)
    size = rows_per_request(form.signature, form.batch_size)
    while chunk := list(itertools.islice(source, max(1, _SELECTED_ROWS // size) * size)):
        selected, failed = select_rows(chunk, form.select)
        yield from failed
        for start in range(0, len(selected), size):
            for group in group_rows(selected[start : start + size], form.signature):
                yield from _make_request(group, form)


def _make_request(group: Sequence[Selected], form: Form) -> Iterator[Request | Answer]:
    try:
        arrays = to_arrays(group, form.signature)
        headers = connection.headers(key_headers(group[0][0], form.key) if form.key else {})
    except InputError as error:
        if len(group) == 1:
            yield Answer(group[0][0], None, str(error))
            return
        middle = len(group) // 2
        yield from _make_request(group[:middle], form)
        yield from _make_request(group[middle:], form)
        return
    message = messages.predict_request(form.which, arrays, form.name).SerializeToString()
    yield Request(message, len(group), connection.call_headers(headers, form.which[0]))


class Sender:
    """A connection for the requests of a load. It repeats calls while the server is unavailable, as clients do."""

    def __init__(self, address: str, model: str, *, timeout_seconds: float, tls: bool | Tls = False) -> None:
        self._address, self._model, self._timeout_seconds, self._tls = address, model, timeout_seconds, tls
        self._channel = connection.open_channel(address, tls, grpc.aio)
        # Requests are serialized already.
        self._call = self._channel.unary_unary(
            wire.METHODS["Predict"].path, response_deserializer=wire.PredictResponse.FromString
        )

    async def __aenter__(self) -> Self:
        try:
            await asyncio.wait_for(self._channel.channel_ready(), self._timeout_seconds)
        except TimeoutError:
            await self._channel.close()
            detail = f"no connection within {self._timeout_seconds:g} s"
            raise failures.failure("Predict", self._model, self._address, "UNAVAILABLE", detail) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def send(self, request: Request) -> int | None:
        """Send a request, and return the version that answered; None if the server does not say.

        Raises:
            ServingError: The request failed.
        """
        try:
            response = await self._call(request.message, timeout=self._timeout_seconds, metadata=request.headers)
        except grpc.RpcError as error:
            # Without looking for the reason by another connection: many requests may fail at once.
            raise connection.explain(
                error, "Predict", self._model, self._address, self._tls, is_examined=False
            ) from None
        if response is None:  # what grpc.aio returns where grpc raises INTERNAL
            raise failures.failure(
                "Predict", self._model, self._address, "INTERNAL", "The response could not be parsed"
            )
        spec = response.model_spec
        return int(spec.version.value) if spec.HasField("version") else None
