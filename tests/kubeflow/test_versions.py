import pytest
from google.protobuf import json_format
from kfp import compiler, dsl, kubernetes

from support import toy_pipelines as toys
from tiffin.authoring.compilation import compile_pipeline, pipeline_names
from tiffin.kubeflow.versions import MINIMUM, introduced_in, needed_backend, used_fields

# Fields that the pipelines may set. Each was looked up in the protos of the oldest backend, MINIMUM. Look up a new field
# as well, and add it to `versions._INTRODUCED_IN` if it was introduced after 2.5.
REVIEWED = """
ArtifactSpec: artifact_type description is_optional
ArtifactTypeSchema: schema_title schema_version
CachingOptions: enable_cache
ComponentInputsSpec: artifacts parameters
ComponentOutputsSpec: artifacts parameters
ComponentRef: name
ComponentSpec: dag executor_label input_definitions output_definitions
ConfigMapAsEnv: config_map_name config_map_name_parameter key_to_env optional
ConfigMapKeyToEnvMap: config_map_key env_var
DagSpec: outputs tasks
DagOutputsSpec: artifacts parameters
DagOutputParameterSpec: value_from_parameter value_from_oneof
ExecutorSpec: container
InputArtifactSpec: component_input_artifact task_output_artifact
InputParameterSpec: component_input_parameter runtime_value task_final_status task_output_parameter
ItemsSpec: input_parameter
KubernetesExecutorConfig: active_deadline_seconds config_map_as_env secret_as_env security_context
ParameterIteratorSpec: item_input items
ParameterSelectorSpec: output_parameter_key producer_subtask
ParameterSpec: default_value description is_optional literals parameter_type
PipelineContainerSpec: args command env image resources
PipelineDeploymentConfig: executors
PipelineInfo: description display_name name
PipelineSpec: components deployment_spec pipeline_info root schema_version sdk_version
PipelineTaskInfo: name
PipelineTaskSpec: caching_options component_ref dependent_tasks inputs parameter_iterator retry_policy task_info trigger_policy
ResourceSpec: accelerator cpu_limit cpu_request memory_limit memory_request
ResourceSpec: resource_cpu_limit resource_cpu_request resource_memory_limit resource_memory_request
RetryPolicy: backoff_duration backoff_factor backoff_max_duration max_retry_count
SecretAsEnv: key_to_env optional secret_name secret_name_parameter
SecretKeyToEnvMap: env_var secret_key
SecurityContext: run_as_non_root
TaskFinalStatus: producer_task
TaskInputsSpec: artifacts parameters
TaskOutputArtifactSpec: output_artifact_key producer_task
TaskOutputParameterSpec: output_parameter_key producer_task
TriggerPolicy: condition strategy
ValueOrRuntimeParameter: constant
"""


def compile_to_bytes(pipeline, tmp_path) -> bytes:
    compiler.Compiler().compile(pipeline, str(tmp_path / "spec.yaml"))
    return (tmp_path / "spec.yaml").read_bytes()


@pytest.mark.parametrize("name", pipeline_names())
def test_the_oldest_backend_accepts_every_pipeline(name: str) -> None:
    reviewed = {
        f"{message}.{field}"
        for message, _, fields in (line.partition(":") for line in REVIEWED.strip().splitlines())
        for field in fields.split()
    }
    spec = compile_pipeline(name)

    version, _ = needed_backend(spec)

    assert used_fields(spec) - reviewed == set()
    assert [int(part) for part in version.split(".")] <= [int(part) for part in MINIMUM.split(".")]


def test_fields_that_need_a_newer_backend_are_returned(tmp_path) -> None:
    @dsl.pipeline(pipeline_config=dsl.PipelineConfig(workspace=dsl.WorkspaceConfig(size="1Gi")))
    def plain():
        kubernetes.use_secret_as_env(toys.say_more(number=1), "secret", {"a": "A"}, optional=True)

    spec = compile_to_bytes(plain, tmp_path)
    assert needed_backend(spec) == ("2.15", ["SecretAsEnv.optional"])
    assert "PipelineConfig.workspace" in used_fields(spec)
    assert needed_backend(compile_to_bytes(toys.looping, tmp_path)) == ("2.5", [])
    assert needed_backend(compile_pipeline("training")) == (
        "2.16",
        ["KubernetesExecutorConfig.security_context", "ParameterSpec.literals", "SecurityContext.run_as_non_root"],
    )


def test_a_field_is_found_by_its_json_and_proto_names() -> None:
    assert introduced_in("literals") == "2.16"
    assert introduced_in("customPath") == introduced_in("custom_path") == "2.15"
    assert introduced_in("tasks") is None


def test_a_field_unknown_to_kfp_is_reported(tmp_path) -> None:
    spec = compile_to_bytes(toys.looping, tmp_path).replace(b"schemaVersion", b"shadowVersion")

    with pytest.raises(json_format.ParseError, match="shadowVersion"):
        used_fields(spec)
