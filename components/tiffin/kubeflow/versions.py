"""The oldest KFP backend that accepts a compiled spec: backends reject a spec with an unknown field."""

from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from tiffin.specs.yaml_text import load_documents

# Oldest backend that Tiffin's pipelines run on. The dashboard shows their dropdowns from 2.17 on.
MINIMUM = "2.16"

# Field -> the KFP version that introduced it. Fields not listed exist since 2.5 or earlier.
_INTRODUCED_IN = {
    "PipelineConfig.workspace": "2.14",
    "NodeAffinityTerm.node_affinity_json": "2.14",
    "ComponentSpec.task_config_passthroughs": "2.15",
    "ImporterSpec.download_to_workspace": "2.15",
    "RuntimeArtifact.custom_path": "2.15",
    "ConfigMapAsEnv.optional": "2.15",
    "SecretAsEnv.optional": "2.15",
    "ParameterSpec.literals": "2.16",
    "KubernetesExecutorConfig.security_context": "2.16",
    "SecurityContext.run_as_non_root": "2.16",
    "PvcMount.sub_path": "2.16",
    "PipelineConfig.active_deadline_seconds": "2.17",
    "PipelineConfig.resource_ttl_on_completion": "2.17",
    "PipelineConfig.resource_ttl_on_success": "2.17",
    "PipelineConfig.resource_ttl_on_failure": "2.17",
    "CreatePvc.data_source": "2.17",
}


def needed_backend(spec: bytes) -> tuple[str, list[str]]:
    """Return the oldest backend that accepts a spec, and the fields that need it, such as `ParameterSpec.literals`.

    Args:
        spec: Compiled pipeline, readable by this environment's kfp.

    Raises:
        json_format.ParseError: The spec has a field that this environment's kfp does not know.
    """
    fields = used_fields(spec)
    versions = {field: _INTRODUCED_IN.get(field, "2.5") for field in fields}
    newest = max(versions.values(), key=lambda version: [int(part) for part in version.split(".")], default="2.5")
    return newest, sorted(field for field, version in versions.items() if version == newest and field in _INTRODUCED_IN)


def introduced_in(field: str) -> str | None:
    """Return the KFP version that introduced a field, by its JSON or proto name; None if not listed."""
    for known, version in _INTRODUCED_IN.items():
        name = known.rpartition(".")[2]
        if field in {name, json_name(name)}:
            return version
    return None


def used_fields(spec: bytes) -> set[str]:
    """Return the fields that a spec sets, as `Message.field`.

    Raises:
        json_format.ParseError: The spec has a field that this environment's kfp does not know.
    """
    # Importing these takes half a second, which publishing does not need.
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    fields: set[str] = set()
    for document in load_documents(spec):
        if "root" in document:
            fields |= set(_fields(json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())))
            # PipelineSpec declares the deployment as a free-form struct; the backend parses it as this message.
            deployment = json_format.ParseDict(
                document.get("deploymentSpec", {}), pipeline_spec_pb2.PipelineDeploymentConfig()
            )
            fields |= set(_fields(deployment))
        for platform in document.get("platforms", {}).values():
            settings = json_format.ParseDict(platform.get("pipelineConfig", {}), pipeline_spec_pb2.PipelineConfig())
            fields |= set(_fields(settings))
            for config in platform.get("deploymentSpec", {}).get("executors", {}).values():
                message = kubernetes_executor_config_pb2.KubernetesExecutorConfig()
                fields |= set(_fields(json_format.ParseDict(config, message)))
    return fields


def json_name(name: str) -> str:
    """Return a field's JSON name: `customPath` for `custom_path`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _fields(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        yield f"{message.DESCRIPTOR.name}.{field.name}"
        if field.message_type is None or field.message_type.full_name.startswith("google.protobuf."):
            continue
        for inner in _messages(value):
            yield from _fields(inner)


def _messages(value: Any) -> list[Message]:
    """Return the messages in a field's value: a single one, a list or the values of a map."""
    values = value.values() if hasattr(value, "values") and not isinstance(value, Message) else value
    values = [values] if isinstance(values, Message) else list(values)
    return [inner for inner in values if isinstance(inner, Message)]
