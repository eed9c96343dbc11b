"""An asyncio client of TensorFlow Serving, with the methods of `tiffin.serving.Client` as coroutines.

async with AsyncClient("localhost:8500") as client:
    predictions = await client.predict("taxi", {"trip_miles": [2.5], "company": ["Blue"]})
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import grpc
import grpc.aio

from tiffin.errors import InputError, ServingError
from tiffin.serving import connection, failures, messages, model_config, signatures, wire
from tiffin.serving.connection import Tls
from tiffin.serving.messages import ClassScore, VersionStatus
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array

if TYPE_CHECKING:
    from tiffin.serving.recipes import ServedRecipe


class AsyncClient:
    """A connection to a model server in one event loop; see `tiffin.serving.Client` for arguments and errors."""

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = 30.0,
        tls: bool | Tls = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.address = connection.parse_address(address)
        self.timeout_seconds = timeout_seconds
        self._headers = connection.headers(metadata or {})
        self._tls = tls
        self._channel = connection.open_channel(address, tls, grpc.aio)
        self._calls = connection.open_calls(self._channel)
        self._signatures: dict[messages.Which, dict[str, Signature]] = {}
        self._recipes: dict[messages.Which, ServedRecipe] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        await self._channel.close()

    async def predict(
        self,
        model: str,
        inputs: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        outputs: Iterable[str] | None = None,
        cast: bool = False,
        timeout_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> dict[str, Array]:
        """Return a model's predictions; see `Client.predict`."""
        columns = signatures.as_columns(inputs)
        which = (model, version, label)
        headers = connection.headers(metadata or {})
        known = which in self._signatures
        try:
            return await self._predict(columns, signature, which, outputs, cast, timeout_seconds, headers)
        except (InputError, ServingError) as error:
            # The server may have loaded a version with other inputs since its metadata was fetched.
            before = self._signatures.pop(which, None)
            if not known or not messages.may_be_outdated(error):
                raise
            self._signatures[which] = await self.metadata(
                model, version=version, label=label, timeout_seconds=timeout_seconds
            )
            if self._signatures[which] == before:
                raise
        return await self._predict(columns, signature, which, outputs, cast, timeout_seconds, headers)

    async def _predict(
        self,
        columns: Mapping[str, Any],
        signature: str,
        which: messages.Which,
        outputs: Iterable[str] | None,
        cast: bool,
        timeout_seconds: float | None,
        headers: connection.Headers,
    ) -> dict[str, Array]:
        arrays = messages.convert(columns, await self._known(which, timeout_seconds), signature, cast)
        request = messages.predict_request(which, arrays, signature, outputs)
        return messages.read_predictions(await self._call("Predict", request, which[0], timeout_seconds, headers))

    async def _known(self, which: messages.Which, timeout_seconds: float | None) -> dict[str, Signature]:
        if which not in self._signatures:
            model, version, label = which
            self._signatures[which] = await self.metadata(
                model, version=version, label=label, timeout_seconds=timeout_seconds
            )
        return self._signatures[which]

    async def predict_rows(
        self,
        model: str,
        rows: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        allow_missing: bool = False,
        timeout_seconds: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> list[dict[str, Any]]:
        """Return the predictions of rows of the source; see `Client.predict_rows`."""
        from tiffin.serving import recipes

        which, records = (model, version, label), recipes.as_rows(rows)
        headers = connection.headers(metadata or {})
        asked = which
        for fresh in (which not in self._recipes, True):
            try:
                recipe = await self._recipe_of(asked, timeout_seconds)
                inputs = recipe.inputs(records, allow_missing)
                arrays = messages.convert(inputs, self._signatures[asked], signature)
                request = messages.predict_request(asked, arrays, signature)
                response = await self._call("Predict", request, model, timeout_seconds, headers)
                other = recipe.find_other(response)
                if other is None or recipe.reads_as(await self._recipe_of((model, other, None), timeout_seconds)):
                    return recipes.answers(response, len(records))
                # The other version is asked by its number, so that a gateway does not choose again.
                asked = (model, other, None)
            except (InputError, ServingError) as error:
                if fresh or not messages.may_be_outdated(error):
                    raise
            self._recipes.pop(which, None)
            self._signatures.pop(which, None)
        raise recipes.changed(model)

    async def recipe(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> "ServedRecipe":
        """Return how a model reads rows of the source; see `Client.recipe`."""
        return await self._recipe_of((model, version, label), timeout_seconds)

    async def _recipe_of(self, which: messages.Which, timeout_seconds: float | None) -> "ServedRecipe":
        from tiffin.serving import recipes  # only for rows of the source

        known = await self._known(which, timeout_seconds)
        if which not in self._recipes:
            found = recipes.NO_RECIPE
            if recipes.has_recipe(known):
                arrays = messages.convert(recipes.REQUEST, known, recipes.SIGNATURE)
                request = messages.predict_request(which, arrays, recipes.SIGNATURE)
                found = recipes.ServedRecipe.read(await self._call("Predict", request, which[0], timeout_seconds))
            self._recipes[which] = found
        return self._recipes[which]

    async def explain(
        self,
        model: str,
        inputs: Any,
        *,
        version: int | None = None,
        label: str | None = None,
        outputs: Iterable[str] | None = None,
        cast: bool = False,
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """Return scores and the contribution of each input; see `Client.explain`."""
        return await self.predict(
            model,
            inputs,
            "explain",
            version=version,
            label=label,
            outputs=outputs,
            cast=cast,
            timeout_seconds=timeout_seconds,
        )

    async def classify(
        self,
        model: str,
        inputs: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[list[ClassScore]]:
        """Return the classes of rows; see `Client.classify`."""
        request = messages.examples_request("Classify", (model, version, label), inputs, signature)
        return messages.read_classifications(await self._call("Classify", request, model, timeout_seconds))

    async def regress(
        self,
        model: str,
        inputs: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Array:
        """Return one number per row; see `Client.regress`."""
        request = messages.examples_request("Regress", (model, version, label), inputs, signature)
        return messages.read_regressions(await self._call("Regress", request, model, timeout_seconds))

    async def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[str, Signature]:
        """Return the model's signatures by name; see `Client.metadata`."""
        request = messages.metadata_request((model, version, label))
        return messages.read_metadata(await self._call("GetModelMetadata", request, model, timeout_seconds))

    async def status(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> list[VersionStatus]:
        """Return version, state and error of the model's versions, newest first."""
        request = messages.status_request((model, version, None))
        return messages.read_status(await self._call("GetModelStatus", request, model, timeout_seconds))

    async def wait_until_available(
        self,
        model: str,
        version: int | None = None,
        timeout_seconds: float = 60.0,
        *,
        check: Callable[[], object] | None = None,
    ) -> None:
        """Wait until the version is available; see `Client.wait_until_available`."""
        deadline = time.monotonic() + timeout_seconds
        last: Any = None
        request = messages.status_request((model, None, None))
        for pause in messages.pauses_seconds():
            left = max(deadline - time.monotonic(), 0.001)
            try:
                response = await self._call(
                    "GetModelStatus", request, model, min(left, self.timeout_seconds), is_examined=False
                )
                versions = messages.read_status(response)
                if messages.is_loaded(versions, model, version):
                    return
                last = versions
            except ServingError as error:
                if error.code not in messages.PASSING_CODES:
                    raise
                # The previous response is more useful than a call that hit the deadline.
                last = last if last is not None and error.code == "DEADLINE_EXCEEDED" else error
            if check:
                check()
            if time.monotonic() + pause > deadline:
                if isinstance(last, ServingError):
                    last = (
                        await asyncio.to_thread(connection.find_reason, self.address, self._tls, last.code, str(last))
                        or last
                    )
                raise messages.too_late(self.address, model, version, timeout_seconds, last)
            await asyncio.sleep(pause)

    async def reload_config(self, config: Any, timeout_seconds: float | None = None) -> None:
        """Replace the server's model config; see `Client.reload_config`."""
        from tiffin.serving import reloading

        message = model_config.read_config(config) if isinstance(config, str) else config
        request = wire.ReloadConfigRequest(config=message)
        try:
            response = await self._call("HandleReloadConfigRequest", request, "", timeout_seconds)
        except ServingError as error:
            states = await self._states(message) if error.code == "DEADLINE_EXCEEDED" else {}
            raise reloading.explain(error, message, states) from None
        reloading.check_response(response, message)

    async def _states(self, config: Any) -> dict[str, list[VersionStatus]]:
        """Return the versions of the models in a config, as far as the server answers."""
        found: dict[str, list[VersionStatus]] = {}
        with contextlib.suppress(ServingError):
            for model in [entry.name for entry in config.model_config_list.config]:
                request = messages.status_request((model, None, None))
                try:
                    response = await self._call(
                        "GetModelStatus", request, model, messages.STATUS_SECONDS, is_examined=False
                    )
                    found[model] = messages.read_status(response)
                except ServingError as error:
                    if error.code != "NOT_FOUND":
                        raise
                    found[model] = []
        return found

    async def _call(
        self,
        method: str,
        request: Any,
        model: str,
        timeout_seconds: float | None,
        headers: connection.Headers = (),
        *,
        is_examined: bool = True,
    ) -> Any:
        timeout = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        sent = connection.call_headers((*self._headers, *headers), model)
        try:
            response = await self._calls[method](request, timeout=timeout, metadata=sent)
        except grpc.RpcError as error:
            raise await asyncio.to_thread(
                connection.explain, error, method, model, self.address, self._tls, is_examined
            ) from None
        except grpc.aio.UsageError as error:
            raise failures.closed(error) from None
        if response is None:  # what grpc.aio returns where grpc raises INTERNAL
            raise failures.failure(method, model, self.address, "INTERNAL", "The response could not be parsed")
        return response
