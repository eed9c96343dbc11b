"""A client of TensorFlow Serving that does not require TensorFlow.

from tiffin.serving import Client

with Client("localhost:8500") as client:
    client.predict("taxi", {"trip_miles": [2.5], "company": ["Blue"]})["scores"]
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Self

import grpc

from tiffin.errors import InputError, ServingError
from tiffin.serving import connection, failures, messages, model_config, signatures, wire
from tiffin.serving.connection import Tls
from tiffin.serving.messages import ClassScore, VersionStatus
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array

if TYPE_CHECKING:
    from tiffin.serving.recipes import ServedRecipe


class Client:
    """A connection to a model server. It connects on first use and is thread-safe.

    Every call raises ServingError with the gRPC `code` if it fails, and InputError for values that cannot be sent.
    Read-only calls are retried while the server is unavailable.

    Args:
        address: `host:port` or `unix:path`; the port defaults to 8500.
        timeout_seconds: Default deadline of a call, in seconds. Defaults to 30.
        tls: True or a `Tls` for an encrypted connection. Defaults to False.
        metadata: Headers sent with every call, such as `{"authorization": "Bearer …"}`.
    """

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
        self._channel = connection.open_channel(address, tls)
        self._calls = connection.open_calls(self._channel)
        self._signatures: dict[messages.Which, dict[str, Signature]] = {}
        self._recipes: dict[messages.Which, ServedRecipe] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        self._channel.close()

    def predict(
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
        """Return a model's predictions.

        Args:
            model: Name of the model on the server.
            inputs: Columns by name, a list of rows (dicts), or a data frame. Values are converted to the types in the
                model's metadata, which is fetched once; a value that the type does not hold is an error. Numpy arrays keep
                their shape. None is a missing value for models trained by Tiffin, and an error for others.
            signature: Name of the signature. Defaults to `serving_default`.
            version: Version number; excludes `label`. Defaults to the server's choice, the latest.
            label: Version label; excludes `version`.
            outputs: Names of the outputs to return. Defaults to all.
            cast: Allow numpy arrays to lose precision, such as from float64 to float32; numbers out of range remain
                errors. Defaults to False: only arrays whose numbers the input's type holds exactly are cast.
            timeout_seconds: Deadline in seconds. Defaults to the client's.
            metadata: Headers of this request beside the client's, such as `{"x-tiffin-key": "order-17"}`.

        Returns:
            The outputs by name. Strings are `bytes`.
        """
        columns = signatures.as_columns(inputs)
        which = (model, version, label)
        headers = connection.headers(metadata or {})
        known = which in self._signatures
        try:
            return self._predict(columns, signature, which, outputs, cast, timeout_seconds, headers)
        except (InputError, ServingError) as error:
            # The server may have loaded a version with other inputs since its metadata was fetched.
            before = self._signatures.pop(which, None)
            if not known or not messages.may_be_outdated(error):
                raise
            self._signatures[which] = self.metadata(
                model, version=version, label=label, timeout_seconds=timeout_seconds
            )
            if self._signatures[which] == before:
                raise
        return self._predict(columns, signature, which, outputs, cast, timeout_seconds, headers)

    def _predict(
        self,
        columns: Mapping[str, Any],
        signature: str,
        which: messages.Which,
        outputs: Iterable[str] | None,
        cast: bool,
        timeout_seconds: float | None,
        headers: connection.Headers,
    ) -> dict[str, Array]:
        arrays = messages.convert(columns, self._known(which, timeout_seconds), signature, cast)
        request = messages.predict_request(which, arrays, signature, outputs)
        return messages.read_predictions(self._call("Predict", request, which[0], timeout_seconds, headers))

    def _known(self, which: messages.Which, timeout_seconds: float | None) -> dict[str, Signature]:
        if which not in self._signatures:
            model, version, label = which
            self._signatures[which] = self.metadata(
                model, version=version, label=label, timeout_seconds=timeout_seconds
            )
        return self._signatures[which]

    def predict_rows(
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
        """Return a model's predictions for rows of the source: as ingest read them, before they became the model's inputs.

        The model's recipe is fetched once, and again when another version answers: it says how the columns are named, how
        numbers, dates and missing values are written, and what is derived from them. If the recipes of two versions differ,
        the rows are sent again, to the version that answered, by its number.

        Args:
            model: Name of the model on the server.
            rows: A list of rows (dicts), columns by name, or a data frame. Names are those of the source, or of the examples.
                Values may be text, as in CSV, or typed. For a model that Tiffin did not train, the columns are its inputs.
            signature: Name of a signature with the same inputs. Defaults to `serving_default`.
            version: Version number; excludes `label`. Defaults to the server's choice, the latest.
            label: Version label; excludes `version`.
            allow_missing: Whether columns that rows lack are missing values. Defaults to False: an error.
            timeout_seconds: Deadline of each request in seconds. Defaults to the client's.
            metadata: Headers of the request with the rows beside the client's, such as `{"x-tiffin-key": "order-17"}`.

        Returns:
            The outputs of each row by name, as JSON-compatible values.
        """
        from tiffin.serving import recipes

        which, records = (model, version, label), recipes.as_rows(rows)
        headers = connection.headers(metadata or {})
        asked = which
        for fresh in (which not in self._recipes, True):
            try:
                recipe = self._recipe_of(asked, timeout_seconds)
                inputs = recipe.inputs(records, allow_missing)
                arrays = messages.convert(inputs, self._signatures[asked], signature)
                request = messages.predict_request(asked, arrays, signature)
                response = self._call("Predict", request, model, timeout_seconds, headers)
                other = recipe.find_other(response)
                if other is None or recipe.reads_as(self._recipe_of((model, other, None), timeout_seconds)):
                    return recipes.answers(response, len(records))
                # The other version is asked by its number, so that a gateway does not choose again.
                asked = (model, other, None)
            except (InputError, ServingError) as error:
                if fresh or not messages.may_be_outdated(error):
                    raise
            self._recipes.pop(which, None)
            self._signatures.pop(which, None)
        raise recipes.changed(model)

    def recipe(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> "ServedRecipe":
        """Return how a model reads rows of the source.

        Args:
            model: Name of the model on the server.
            version: Version number; excludes `label`.
            label: Version label; excludes `version`.
            timeout_seconds: Deadline of each request in seconds. Defaults to the client's.

        Returns:
            The recipe of the version that the server chose. Its `reader` is None for a model that Tiffin did not train.
        """
        return self._recipe_of((model, version, label), timeout_seconds)

    def _recipe_of(self, which: messages.Which, timeout_seconds: float | None) -> "ServedRecipe":
        from tiffin.serving import recipes  # only for rows of the source

        known = self._known(which, timeout_seconds)
        if which not in self._recipes:
            found = recipes.NO_RECIPE
            if recipes.has_recipe(known):
                arrays = messages.convert(recipes.REQUEST, known, recipes.SIGNATURE)
                request = messages.predict_request(which, arrays, recipes.SIGNATURE)
                found = recipes.ServedRecipe.read(self._call("Predict", request, which[0], timeout_seconds))
            self._recipes[which] = found
        return self._recipes[which]

    def explain(
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
        """Return scores and the contribution of each input; requires a model trained by Tiffin."""
        return self.predict(
            model,
            inputs,
            "explain",
            version=version,
            label=label,
            outputs=outputs,
            cast=cast,
            timeout_seconds=timeout_seconds,
        )

    def classify(
        self,
        model: str,
        inputs: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> list[list[ClassScore]]:
        """Return the classes of rows, which are sent as tf.Examples.

        Args:
            model: Name of the model on the server.
            inputs: As for `predict`. Text is sent as bytes, integers as int64, other numbers as floats; missing values
                are omitted.
            signature: Name of a signature that takes serialized examples: `examples` in models trained by Tiffin.
            version: Version number; excludes `label`.
            label: Version label; excludes `version`.
            timeout_seconds: Deadline in seconds. Defaults to the client's.

        Returns:
            The classes of each row with their scores.
        """
        request = messages.examples_request("Classify", (model, version, label), inputs, signature)
        return messages.read_classifications(self._call("Classify", request, model, timeout_seconds))

    def regress(
        self,
        model: str,
        inputs: Any,
        signature: str = "",
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Array:
        """Return one number per row; rows are sent as tf.Examples. See `classify` for the arguments."""
        request = messages.examples_request("Regress", (model, version, label), inputs, signature)
        return messages.read_regressions(self._call("Regress", request, model, timeout_seconds))

    def metadata(
        self,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[str, Signature]:
        """Return the model's signatures by name, with their inputs and outputs."""
        request = messages.metadata_request((model, version, label))
        return messages.read_metadata(self._call("GetModelMetadata", request, model, timeout_seconds))

    def status(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> list[VersionStatus]:
        """Return version, state and error of the model's versions, newest first."""
        request = messages.status_request((model, version, None))
        return messages.read_status(self._call("GetModelStatus", request, model, timeout_seconds))

    def wait_until_available(
        self,
        model: str,
        version: int | None = None,
        timeout_seconds: float = 60.0,
        *,
        check: Callable[[], object] | None = None,
    ) -> None:
        """Wait until the version (None: any version) is available.

        Args:
            model: Name of the model on the server.
            version: Version number. Defaults to any version.
            timeout_seconds: Time to wait, in seconds. Defaults to 60.
            check: Called after each answer without the version; ends the wait by raising an error.

        Raises:
            ServingError: The version failed to load, or was not available in time (`DEADLINE_EXCEEDED`).
        """
        deadline = time.monotonic() + timeout_seconds
        last: Any = None
        request = messages.status_request((model, None, None))
        for pause in messages.pauses_seconds():
            left = max(deadline - time.monotonic(), 0.001)
            try:
                response = self._call(
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
                    last = connection.find_reason(self.address, self._tls, last.code, str(last)) or last
                raise messages.too_late(self.address, model, version, timeout_seconds, last)
            time.sleep(pause)

    def reload_config(self, config: Any, timeout_seconds: float | None = None) -> None:
        """Replace the server's model config, and wait until new models and versions are loaded.

        Args:
            config: A ModelServerConfig message, or its text.
            timeout_seconds: Deadline in seconds. Defaults to the client's.

        Raises:
            ServingError: The server rejected the config, or a model failed to load. The call is not retried.
        """
        from tiffin.serving import reloading

        message = model_config.read_config(config) if isinstance(config, str) else config
        request = wire.ReloadConfigRequest(config=message)
        try:
            response = self._call("HandleReloadConfigRequest", request, "", timeout_seconds)
        except ServingError as error:
            states = self._states(message) if error.code == "DEADLINE_EXCEEDED" else {}
            raise reloading.explain(error, message, states) from None
        reloading.check_response(response, message)

    def _states(self, config: Any) -> dict[str, list[VersionStatus]]:
        """Return the versions of the models in a config, as far as the server answers."""
        found: dict[str, list[VersionStatus]] = {}
        with contextlib.suppress(ServingError):
            for model in [entry.name for entry in config.model_config_list.config]:
                request = messages.status_request((model, None, None))
                try:
                    response = self._call("GetModelStatus", request, model, messages.STATUS_SECONDS, is_examined=False)
                    found[model] = messages.read_status(response)
                except ServingError as error:
                    if error.code != "NOT_FOUND":
                        raise
                    found[model] = []
        return found

    def _call(
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
            return self._calls[method](request, timeout=timeout, metadata=sent)
        except grpc.RpcError as error:
            raise connection.explain(error, method, model, self.address, self._tls, is_examined) from None
        except ValueError as error:  # raised by grpc on a closed channel
            raise failures.closed(error) from None
