"""A client of TensorFlow Serving that needs no TensorFlow.

from tiffin.serving import Client

with Client("localhost:8500") as client:
    client.predict("taxi", {"trip_miles": [2.5], "company": ["Blue"]})["scores"]
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Self

import grpc

from tiffin.errors import ServingError
from tiffin.serving import connection, messages, model_config, signatures, wire
from tiffin.serving.connection import Tls
from tiffin.serving.messages import ClassScore, VersionStatus
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array


class Client:
    """A connection to a model server. It connects on first use, and threads may share it.

    Every call raises ServingError with gRPC's `code` if the server does not answer as it should, and InputError for
    values that cannot be sent. Calls that change nothing are repeated while the server is unavailable.

    Args:
        address: `host:port` or `unix:path`; the port defaults to 8500.
        timeout_seconds: How long a call may take unless the call says so itself.
        tls: True or the files to use for an encrypted connection.
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
        self._channel = connection.open_channel(address, tls)
        self._calls = connection.open_calls(self._channel)
        self._signatures: dict[messages.Which, dict[str, Signature]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls in flight are cancelled."""
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
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """Ask a model for predictions.

        Args:
            model: Its name on the server.
            inputs: Columns by name, a list of rows (dicts), or a data frame. Numpy arrays are sent as they are; for
                other values the model's metadata is fetched once, and they are converted to what it takes.
            signature: Which of the model's signatures to use. Defaults to `serving_default`.
            version: Which version; or
            label: the version with this label. Defaults to the server's choice, the latest.
            outputs: Names of the outputs wanted. Defaults to all.
            timeout_seconds: Defaults to the client's.

        Returns:
            The outputs by name. Strings are `bytes`.
        """
        columns = signatures.as_columns(inputs)
        which = (model, version, label)
        known = which in self._signatures
        try:
            return self._predict(columns, signature, which, outputs, timeout_seconds)
        except ServingError as error:
            # The server may have moved to a version that takes other types since its metadata was fetched.
            before = self._signatures.pop(which, None)
            if error.code != "INVALID_ARGUMENT" or not known or signatures.are_typed(columns):
                raise
            self._signatures[which] = self.metadata(model, version=version, label=label)
            if self._signatures[which] == before:
                raise
        return self._predict(columns, signature, which, outputs, timeout_seconds)

    def _predict(
        self,
        columns: Mapping[str, Any],
        signature: str,
        which: messages.Which,
        outputs: Iterable[str] | None,
        timeout_seconds: float | None,
    ) -> dict[str, Array]:
        model, version, label = which
        if signatures.are_typed(columns):
            arrays = dict(columns)
        else:
            if which not in self._signatures:
                self._signatures[which] = self.metadata(model, version=version, label=label)
            arrays = messages.convert(columns, self._signatures[which], signature)
        request = messages.predict_request(which, arrays, signature, outputs)
        return messages.read_predictions(self._call("Predict", request, model, timeout_seconds))

    def explain(
        self,
        model: str,
        inputs: Any,
        *,
        version: int | None = None,
        label: str | None = None,
        outputs: Iterable[str] | None = None,
        timeout_seconds: float | None = None,
    ) -> dict[str, Array]:
        """Ask a model trained by Tiffin for its scores and how much each input added to them."""
        return self.predict(
            model, inputs, "explain", version=version, label=label, outputs=outputs, timeout_seconds=timeout_seconds
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
        """Ask for the classes of rows, sent as tf.Examples.

        Args:
            model: Its name on the server.
            inputs: As for `predict`. Text is sent as bytes, whole numbers as int64, other numbers as floats; a
                missing value is left out.
            signature: A signature that takes serialized examples: `examples` in models trained by Tiffin.
            version: Which version; or
            label: the version with this label.
            timeout_seconds: Defaults to the client's.

        Returns:
            For each row its classes with their scores.
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
        """Ask for one number per row, sent as tf.Examples; the arguments are those of `classify`."""
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
        """Return the model's signatures by name: what they take and return."""
        request = messages.metadata_request((model, version, label))
        return messages.read_metadata(self._call("GetModelMetadata", request, model, timeout_seconds))

    def status(
        self, model: str, version: int | None = None, timeout_seconds: float | None = None
    ) -> list[VersionStatus]:
        """Return version, state and error of the model's versions, newest first."""
        request = messages.status_request((model, version, None))
        return messages.read_status(self._call("GetModelStatus", request, model, timeout_seconds))

    def wait_until_available(self, model: str, version: int | None = None, timeout_seconds: float = 60.0) -> None:
        """Wait until the server answers for this version (None: for any version).

        Raises:
            ServingError: It failed to load, or was not available in time (`DEADLINE_EXCEEDED`).
        """
        deadline = time.monotonic() + timeout_seconds
        last: Any = None
        for pause in messages.pauses_seconds():
            left = max(deadline - time.monotonic(), 0.001)
            try:
                versions = self.status(model, timeout_seconds=min(left, self.timeout_seconds))
                if messages.is_loaded(versions, model, version):
                    return
                last = versions
            except ServingError as error:
                if error.code not in messages.PASSING_CODES:
                    raise
                # A call that the deadline cut short says less than the answer before it.
                last = last if last is not None and error.code == "DEADLINE_EXCEEDED" else error
            if time.monotonic() + pause > deadline:
                raise messages.too_late(self.address, model, version, timeout_seconds, last)
            time.sleep(pause)

    def reload_config(self, config: Any, timeout_seconds: float | None = None) -> None:
        """Tell the server which models and versions to serve, and wait until new ones are loaded.

        Args:
            config: A ModelServerConfig message, or its text.
            timeout_seconds: Defaults to the client's.

        Raises:
            ServingError: The server refuses it, or a model did not load. It is not tried again.
        """
        message = model_config.read_config(config) if isinstance(config, str) else config
        request = wire.ReloadConfigRequest(config=message)
        messages.check_reload(self._call("HandleReloadConfigRequest", request, "", timeout_seconds))

    def _call(self, method: str, request: Any, model: str, timeout_seconds: float | None) -> Any:
        timeout = self.timeout_seconds if timeout_seconds is None else timeout_seconds
        try:
            return self._calls[method](request, timeout=timeout, metadata=self._headers)
        except grpc.RpcError as error:
            raise connection.explain(error, method, model, self.address) from None
        except ValueError as error:  # what grpc raises on a closed channel
            raise connection.closed(error) from None
