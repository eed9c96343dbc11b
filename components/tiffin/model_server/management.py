"""GetModelMetadata, GetModelStatus and HandleReloadConfigRequest.

Follows tensorflow/serving's servables/tensorflow/get_model_metadata_impl.cc, model_servers/get_model_status_impl.cc
and model_servers/model_service_impl.cc.
"""

from collections.abc import Callable
from typing import Any

from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_management_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Catalog


def model_metadata(catalog: Catalog, request: Any) -> Any:
    """Return a GetModelMetadataResponse: the signatures of a model.

    Raises:
        ServingError: The request is invalid, with TF Serving's message.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != "signature_def":
            raise invalid(f"Metadata field {field} is not supported")
    model = catalog.find(request.model_spec)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    response.model_spec.name = model.name
    response.model_spec.version.value = model.version
    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in model.definitions.items():
        signatures.signature_def[name].CopyFrom(definition)
    response.metadata["signature_def"].Pack(signatures)
    return response


def model_status(catalog: Catalog, request: Any) -> Any:
    """Return a GetModelStatusResponse: the states of one version or of all, newest first.

    Raises:
        ServingError: The model or the version is unknown, with TF Serving's message.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    spec = request.model_spec
    versions = catalog.states["models"].get(spec.name, [])
    if spec.HasField("version"):
        versions = [entry for entry in versions if entry[0] == spec.version.value]
        if not versions:
            raise ServingError(f"Could not find version {spec.version.value} of model {spec.name}", "NOT_FOUND")
    elif not versions:
        raise ServingError(f"Could not find any versions of model {spec.name}", "NOT_FOUND")
    response = get_model_status_pb2.GetModelStatusResponse()
    for version, state, code, message in versions:
        status = response.model_version_status.add(version=version, state=state)
        status.status.error_code = codes.NUMBERS[code]
        status.status.error_message = message
    return response


def reload_config(request: Any, reload: Callable[[Any], None], metrics: Metrics, is_allowed: bool = True) -> Any:
    """Apply a configuration; return a ReloadConfigResponse with the increase of the requested metrics.

    Args:
        request: ReloadConfigRequest.
        reload: Function that applies a ModelServerConfig and returns when its new models are available.
        metrics: The metrics.
        is_allowed: Whether clients may change the configuration. A SavedModel reads and writes files as the server's user, and
            a client may be another user. Defaults to True.

    Raises:
        ServingError: It is not allowed; or, with TF Serving's message, the configuration is invalid or a model did not become
            available.
    """
    if not is_allowed:
        raise ServingError(
            "HandleReloadConfigRequest is not allowed on this server. Change the file of --model_config_file, which the server "
            "polls, or start it with --allow_reload_config.",
            "PERMISSION_DENIED",
        )
    if request.config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently "
            "supported"
        )
    names = list(dict.fromkeys(request.metric_names))
    before = {name: metrics.first(name) for name in names}
    reload(request.config)
    response = model_management_pb2.ReloadConfigResponse()
    response.status.SetInParent()
    for name in names:
        response.metric.add(name=name, int64_value_increase=metrics.first(name) - before[name])
    return response
