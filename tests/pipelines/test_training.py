"""The wiring of the training pipeline, in its compiled spec."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from support.kfp_pods import run_pods
from tiffin.authoring.compilation import compile_pipeline

# The fields of KFP's spec that the pipeline uses. Before adding a field, check that the oldest backend that Tiffin
# supports can read it.
SPEC_PARTS = {
    "ArtifactSpec": "artifact_type description is_optional",
    "ArtifactTypeSchema": "schema_title schema_version",
    "CachingOptions": "enable_cache",
    "ComponentInputsSpec": "artifacts parameters",
    "ComponentOutputsSpec": "artifacts parameters",
    "ComponentRef": "name",
    "ComponentSpec": "dag executor_label input_definitions output_definitions",
    "DagSpec": "tasks",
    "InputArtifactSpec": "component_input_artifact task_output_artifact",
    "InputParameterSpec": "component_input_parameter runtime_value task_final_status task_output_parameter",
    "ParameterSpec": "default_value description is_optional literals parameter_type",
    "PipelineInfo": "description display_name name",
    "PipelineSpec": "components deployment_spec pipeline_info root schema_version sdk_version",
    "PipelineTaskInfo": "name",
    "PipelineTaskSpec": "caching_options component_ref dependent_tasks inputs retry_policy task_info trigger_policy",
    "RetryPolicy": "backoff_duration backoff_factor backoff_max_duration max_retry_count",
    "TaskFinalStatus": "producer_task",
    "TaskInputsSpec": "artifacts parameters",
    "TaskOutputArtifactSpec": "output_artifact_key producer_task",
    "TaskOutputParameterSpec": "output_parameter_key producer_task",
    "TriggerPolicy": "condition strategy",
    "ValueOrRuntimeParameter": "constant",
}


def from_settings(*names):
    return {name: f"configMap tiffin: {name}" for name in names}


def from_credentials(*names):
    return {name: f"secret tiffin-credentials: {name}" for name in names}


# For steps that read or write data, which may be in S3 or in the store of Kubeflow Pipelines.
STORE = (
    from_settings("AWS_ENDPOINT_URL", "AWS_REGION", "MINIO_ENDPOINT_URL")
    | from_credentials("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    | {
        "MINIO_ACCESS_KEY": "secret mlpipeline-minio-artifact: accesskey",
        "MINIO_SECRET_KEY": "secret mlpipeline-minio-artifact: secretkey",
    }
)
RESULTS = from_settings("TIFFIN_RESULT_STORE")
TRACKING = from_settings("MLFLOW_TRACKING_URI") | from_credentials(
    "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"
)
SERVING = from_settings("TIFFIN_SERVING_ROOT", "TIFFIN_SERVING_ADDRESS", "TIFFIN_SERVING_METRICS", "TIFFIN_WATCH")

ROLLOUT = from_settings(
    "TIFFIN_SERVING_ROOT", "TIFFIN_SERVING_ADDRESS", "TIFFIN_CANDIDATE_ADDRESS", "TIFFIN_CANDIDATE_DEPLOYMENT",
    "TIFFIN_CANDIDATE_METRICS", "TIFFIN_SERVING_METRICS",
    "TIFFIN_GATEWAY_ADDRESS", "TIFFIN_GATEWAY_METRICS", "TIFFIN_PROMETHEUS", "TIFFIN_ROUTES", "TIFFIN_LOG_ROOT",
)  # fmt: skip

NOTIFICATIONS = from_settings("TIFFIN_NOTIFY_STATE", "TIFFIN_UI") | {"TIFFIN_NOTIFY": "secret tiffin-notify: addresses"}
# Of every step.
SENTRY = from_settings("SENTRY_DSN", "SENTRY_ENVIRONMENT")

# Step -> title, retries, deadline in hours, and environment variable -> its source in the namespace.
STEPS = {
    "ingest-examples": ("Ingest", 2, 6, STORE),
    "validate-examples": ("Validate", 2, 6, STORE | RESULTS | from_settings("TIFFIN_SERVING_ROOT")),
    "train-model": ("Train", 2, 48, STORE | RESULTS),
    "evaluate-model": ("Evaluate", 2, 6, STORE | from_settings("TIFFIN_SERVING_ROOT")),
    "register-model": ("Register", 3, 1, TRACKING),
    "deploy-model": ("Deploy", 3, 1, SERVING | TRACKING),
    "roll-out-model": ("Roll out", 3, 24 * 366, ROLLOUT | TRACKING),
    "stop-run": ("Stop: the rollout did not end in production", 0, 1, TRACKING),
    "stop-run-2": ("Stop: the model is not good enough", 0, 1, TRACKING),
    "stop-run-3": ("Stop: the data is not valid", 0, 1, TRACKING),
    "summarize-run": ("Summarize", 0, 1, STORE | TRACKING | NOTIFICATIONS),
}


@dataclass(frozen=True)
class Task:
    """A task and the conditions for it to run.

    Attributes:
        spec: The task's part of the compiled pipeline.
        conditions: Conditions of the groups that contain it and its own, outermost first.
        groups: Names of the groups that contain it.
    """

    spec: dict
    conditions: tuple[str, ...]
    groups: tuple[str, ...]

    @property
    def component(self):
        return self.spec["componentRef"]["name"].removeprefix("comp-")


@pytest.fixture(scope="module")
def documents():
    return list(yaml.safe_load_all(compile_pipeline("training")))


@pytest.fixture(scope="module")
def spec(documents):
    return documents[0]


@pytest.fixture(scope="module")
def executors(documents):
    """The Kubernetes settings of each step."""
    found = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {name.removeprefix("exec-"): executor for name, executor in found.items()}


@pytest.fixture(scope="module")
def tasks(spec):
    found = {}

    def walk(dag, conditions, groups):
        for name, task in dag["tasks"].items():
            condition = task.get("triggerPolicy", {}).get("condition")
            here = (*conditions, condition) if condition else conditions
            component = spec["components"][task["componentRef"]["name"]]
            if "dag" in component:
                walk(component["dag"], here, (*groups, name))
            else:
                found[name] = Task(task, here, groups)

    walk(spec["root"]["dag"], (), ())
    return found


def inputs(task, kind="parameters"):
    return task.spec["inputs"].get(kind, {})


def test_steps(tasks):
    assert tasks.keys() == STEPS.keys()


class TestSteps:
    def test_have_titles(self, tasks):
        assert {name: task.spec["taskInfo"]["name"] for name, task in tasks.items()} == {
            name: title for name, (title, *_) in STEPS.items()
        }

    def test_have_retries(self, tasks):
        for name, (_, retries, *_) in STEPS.items():
            policy = {
                "maxRetryCount": retries,
                "backoffDuration": "30s",
                "backoffFactor": 2.0,
                "backoffMaxDuration": "600s",
            }
            assert tasks[name].spec.get("retryPolicy") == (policy if retries else None), name

    def test_alone_have_retries(self, spec):
        """Groups are not retried: a retry would run the gate in them again."""
        groups = [component["dag"] for component in spec["components"].values() if "dag" in component]
        tasks = [task for dag in (spec["root"]["dag"], *groups) for task in dag["tasks"].values()]

        assert sum("retryPolicy" in task for task in tasks) == sum(retries > 0 for _, retries, *_ in STEPS.values())

    def test_have_deadlines(self, executors):
        assert {name: int(executor["activeDeadlineSeconds"]) for name, executor in executors.items()} == {
            name: hours * 3600 for name, (_, _, hours, _) in STEPS.items()
        }

    @pytest.mark.parametrize("step", STEPS)
    def test_read_only_the_variables_they_need_from_the_namespace(self, executors, step):
        found = {}
        for kind in ("configMap", "secret"):
            for source in executors[step].get(f"{kind}AsEnv", []):
                name = source[f"{kind}Name"]
                # Backends before 2.5 read the first field, later ones the second.
                assert source[f"{kind}NameParameter"] == {"runtimeValue": {"constant": name}}
                assert source["optional"] is True, "a run must start without it"
                for pair in source["keyToEnv"]:
                    assert pair["envVar"] not in found
                    found[pair["envVar"]] = f"{kind} {name}: {pair[f'{kind}Key']}"

        assert found == STEPS[step][-1] | SENTRY


class TestGates:
    VALID = "inputs.parameter_values['pipelinechannel--validate-examples-valid'] == true"
    PASSED = "inputs.parameter_values['pipelinechannel--evaluate-model-passed'] == true"
    ROLLING_OUT = "inputs.parameter_values['pipelinechannel--deploy-model-rolling_out'] == true"
    NOT_PROMOTED = "inputs.parameter_values['pipelinechannel--roll-out-model-promoted'] == false"

    @pytest.mark.parametrize(
        ("name", "conditions"),
        [
            ("ingest-examples", ()),
            ("validate-examples", ()),
            ("train-model", (VALID,)),
            ("evaluate-model", (VALID,)),
            ("register-model", (VALID, PASSED)),
            ("deploy-model", (VALID, PASSED)),
            ("roll-out-model", (VALID, PASSED, ROLLING_OUT)),
        ],
    )
    def test_guard_the_later_steps(self, tasks, name, conditions):
        assert tasks[name].conditions == conditions

    def test_stop_the_run_if_they_do_not_pass(self, tasks):
        stops = {
            inputs(task)["gate"]["runtimeValue"]["constant"]: task for name, task in tasks.items() if "stop" in name
        }

        assert stops["validation"].conditions == (f"!({self.VALID})",)
        assert stops["evaluation"].conditions == (self.VALID, f"!({self.PASSED})")
        assert stops["rollout"].conditions == (self.VALID, self.PASSED, self.ROLLING_OUT, self.NOT_PROMOTED)
        gates = {"validation": "validate-examples", "evaluation": "evaluate-model", "rollout": "roll-out-model"}
        for gate, step in gates.items():
            assert inputs(stops[gate])["reason"]["componentInputParameter"] == f"pipelinechannel--{step}-reason"

    def test_compare_booleans_and_not_strings(self, spec):
        booleans = (
            ("validate-examples", "valid"), ("evaluate-model", "passed"),
            ("deploy-model", "rolling_out"), ("roll-out-model", "promoted"),
        )  # fmt: skip
        for name, output in booleans:
            definition = spec["components"][f"comp-{name}"]["outputDefinitions"]["parameters"][output]
            assert definition["parameterType"] == "BOOLEAN"

    def test_deployment_waits_for_the_registered_version(self, tasks):
        assert inputs(tasks["deploy-model"])["version"]["taskOutputParameter"] == {
            "outputParameterKey": "version",
            "producerTask": "register-model",
        }


class TestPods:
    """Each driver takes about ten seconds. A finer pipeline should be worth more pods to its readers."""

    @pytest.mark.parametrize(
        ("valid", "passed", "rolling_out", "promoted", "steps", "drivers"),
        [
            (True, True, False, False, 7, 16),
            (True, True, True, True, 8, 18),
            (True, True, True, False, 9, 19),
            (True, False, False, False, 6, 14),
            (False, False, False, False, 4, 9),
        ],
    )
    def test_are_few(self, documents, valid, passed, rolling_out, promoted, steps, drivers):
        outputs = {
            "validate-examples-valid": valid, "evaluate-model-passed": passed, "deploy-model-rolling_out": rolling_out,
            "roll-out-model-promoted": promoted,
        }  # fmt: skip
        pods = run_pods(documents, outputs)

        assert sum(not pod.is_driver for pod in pods) == steps
        assert sum(pod.is_driver for pod in pods) == drivers

    def test_are_counted_in_the_documentation(self, documents):
        outputs = {"validate-examples-valid": True, "evaluate-model-passed": True, "deploy-model-rolling_out": False}
        pods = run_pods(documents, outputs)
        drivers = sum(pod.is_driver for pod in pods)

        page = (Path(__file__).parents[2] / "docs" / "how-to" / "steps.md").read_text()
        assert re.search(rf"\b{len(pods)} pods\b.*\b{drivers} drivers\b", page)


class TestCache:
    def test_is_off(self, tasks):
        cached = [name for name, task in tasks.items() if task.spec.get("cachingOptions", {}).get("enableCache")]

        assert cached == []

    def test_is_turned_off_explicitly(self, tasks):
        # Without this field, the backend chooses.
        assert all("cachingOptions" in task.spec for task in tasks.values())


@pytest.mark.parametrize("step", ["validate-examples", "train-model"])
def test_results_are_kept_in_the_data_root_with_the_id_of_the_run(tasks, step):
    found = inputs(tasks[step])

    assert found["data_root"]["componentInputParameter"] == "pipelinechannel--data_root"
    assert found["reuse"]["componentInputParameter"] == "pipelinechannel--reuse"
    assert found["run"]["runtimeValue"]["constant"] == "{{$.pipeline_job_uuid}}"


def test_the_drift_gate_looks_where_models_are_deployed(tasks):
    for field in ("model_name", "serving_root"):
        sources = {
            inputs(tasks[step])[field]["componentInputParameter"] for step in ("validate-examples", "deploy-model")
        }
        assert sources == {f"pipelinechannel--{field}"}


def test_the_registration_gets_what_monitoring_compares_with(tasks):
    sources = {
        name: next(iter(source.values())) for name, source in inputs(tasks["register-model"], "artifacts").items()
    }

    assert sources == {
        "model": "pipelinechannel--train-model-model",
        "evaluation": "pipelinechannel--evaluate-model-evaluation",
        "examples": "pipelinechannel--ingest-examples-examples",
        "statistics": "pipelinechannel--validate-examples-statistics",
        "schema": "pipelinechannel--validate-examples-schema",
    }


class TestExit:
    def test_the_summary_runs_last_in_any_case(self, tasks):
        summary = tasks["summarize-run"]
        [around] = {task.groups[0] for task in tasks.values() if task is not summary}

        assert summary.spec["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
        assert summary.spec["dependentTasks"] == [around]
        assert inputs(summary)["status"]["taskFinalStatus"] == {"producerTask": around}
        assert inputs(summary)["pipeline"]["runtimeValue"]["constant"] == "training"


class TestForm:
    @pytest.fixture
    def parameters(self, spec):
        return spec["root"]["inputDefinitions"]["parameters"]

    def test_every_field_has_a_default_that_is_not_none(self, parameters):
        assert {name for name, field in parameters.items() if field.get("defaultValue") is None} == set()
        assert "None" not in [field["defaultValue"] for field in parameters.values()]

    def test_every_field_is_described(self, parameters):
        assert {name for name, field in parameters.items() if not field.get("description")} == set()

    def test_a_field_has_the_default_of_the_component_that_takes_it(self, spec, parameters):
        differing = {}
        for name, component in spec["components"].items():
            if "executorLabel" not in component:
                continue
            for field, about in component.get("inputDefinitions", {}).get("parameters", {}).items():
                pair = about.get("defaultValue"), parameters.get(field, {}).get("defaultValue")
                if None not in pair and pair[0] != pair[1]:
                    differing[name, field] = pair

        # The components' label, and the model name of most, are optional.
        assert differing == {
            ("comp-ingest-examples", "label"): ("", "late"),
            ("comp-validate-examples", "label"): ("", "late"),
            ("comp-validate-examples", "model_name"): ("", "model"),
            ("comp-evaluate-model", "model_name"): ("", "model"),
            ("comp-stop-run", "model_name"): ("", "model"),
            ("comp-stop-run-2", "model_name"): ("", "model"),
            ("comp-stop-run-3", "model_name"): ("", "model"),
        }

    def test_every_field_is_used(self, tasks, parameters):
        used = {
            value["componentInputParameter"].removeprefix("pipelinechannel--")
            for task in tasks.values()
            for value in inputs(task).values()
            if "componentInputParameter" in value
        }

        assert set(parameters) <= used


class TestSpec:
    def test_uses_only_fields_that_supported_backends_read(self, spec):
        found = {}

        def walk(message):
            for field, value in message.ListFields():
                if field.containing_type.file.package != "ml_pipelines":
                    continue
                found.setdefault(field.containing_type.name, set()).add(field.name)
                if field.message_type is None:
                    continue
                if field.message_type.GetOptions().map_entry:
                    parts = value.values() if field.message_type.fields_by_name["value"].message_type else []
                else:
                    parts = [value] if hasattr(value, "ListFields") else value
                for part in parts:
                    walk(part)

        walk(json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec()))
        allowed = {(name, part) for name, parts in SPEC_PARTS.items() for part in parts.split()}

        assert {(name, part) for name, parts in found.items() for part in parts} - allowed == set()

    def test_uses_only_artifact_types_of_every_backend(self, spec):
        titles = {
            artifact["artifactType"]["schemaTitle"]
            for component in spec["components"].values()
            for kind in ("inputDefinitions", "outputDefinitions")
            for artifact in component.get(kind, {}).get("artifacts", {}).values()
        }

        assert {title.split(".")[0] for title in titles} == {"system"}

    def test_steps_install_no_packages(self, spec):
        for executor in spec["deploymentSpec"]["executors"].values():
            command = " ".join(executor["container"]["command"])
            assert "pip install" not in command
            assert "ensurepip" not in command

    def test_compilation_is_deterministic(self):
        assert compile_pipeline("training") == compile_pipeline("training")
