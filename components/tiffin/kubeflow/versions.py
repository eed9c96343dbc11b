"""Which KFP backend a compiled spec needs: backends refuse a spec with a field they do not know."""

from collections.abc import Iterator
from typing import Any

import yaml
from google.protobuf import json_format
from google.protobuf.message import Message

# The oldest backend that Tiffin's pipelines run on. Their dropdowns show from 2.17 on.
MINIMUM = "2.16"

# Field -> the backend that it came with. What is not here was there in 2.5.
_CAME_WITH = {
    "PipelineConfig.workspace": "2.14",
    "NodeAffinityTerm.node_affinity_json": "2.14",
    "ComponentSpec.task_config_passthroughs": "2.15",
    "ImporterSpec.download_to_workspace": "2.15",
    "RuntimeArtifact.custom_path": "2.15",
    "ConfigMapAsEnv.optional": "2.15",
    "SecretAsEnv.optional": "2.15",
    "ParameterSpec.literals": "2.16",
    "KubernetesExecutorConfig.security_context": "2.16",
    "PvcMount.sub_path": "2.16",
    "PipelineConfig.active_deadline_seconds": "2.17",
    "PipelineConfig.resource_ttl_on_completion": "2.17",
    "PipelineConfig.resource_ttl_on_success": "2.17",
    "PipelineConfig.resource_ttl_on_failure": "2.17",
    "CreatePvc.data_source": "2.17",
}


def needed_backend(spec: bytes) -> tuple[str, list[str]]:
    """Return the oldest backend that takes a spec, and the fields that ask for it, such as `ParameterSpec.literals`.

    Args:
        spec: A compiled pipeline that kfp of this environment can read.
    """
    fields = used_fields(spec)
    versions = {field: _CAME_WITH.get(field, "2.5") for field in fields}
    newest = max(versions.values(), key=lambda version: [int(part) for part in version.split(".")], default="2.5")
    return newest, sorted(field for field, version in versions.items() if version == newest and field in _CAME_WITH)


def came_with(field: str) -> str | None:
    """Return the backend that a field came with, from its name in JSON or proto; None if it is old or unknown."""
    for known, version in _CAME_WITH.items():
        name = known.rpartition(".")[2]
        if field in {name, json_name(name)}:
            return version
    return None


def used_fields(spec: bytes) -> set[str]:
    """Return the fields that a spec sets, as `Message.field`.

    Raises:
        json_format.ParseError: It has a field that kfp of this environment does not know either.
    """
    # Half a second to import, which a publication can do without.
    from kfp.kubernetes import kubernetes_executor_config_pb2
    from kfp.pipeline_spec import pipeline_spec_pb2

    fields: set[str] = set()
    for document in yaml.safe_load_all(spec):
        if "root" in document:
            fields |= set(_fields(json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())))
            # Executors are a free-form struct to the spec's own message, and typed to the backend.
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
    """Return a field's name as JSON has it: `custom_path` is `customPath`."""
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
    """Return the messages in a field's value: one, a list of them or a mapping to them."""
    values = value.values() if hasattr(value, "values") and not isinstance(value, Message) else value
    values = [values] if isinstance(values, Message) else list(values)
    return [inner for inner in values if isinstance(inner, Message)]
