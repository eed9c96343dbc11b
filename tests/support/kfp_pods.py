"""The pods of a run, as Kubeflow Pipelines 2.17 and Argo Workflows 4.0 make them from a compiled spec.

Modelled on KFP's compiler (`argocompiler`), its driver (`driver/k8s.go`), the workflow controller's settings that KFP
installs, and Argo's pod builder, so far as they set what the Pod Security Standards restrict:

- the driver of a step, of a group and of the whole run is a pod of KFP's own image;
- the pod of a step has KFP's launcher and Argo's `init` and `wait` beside the container `main`;
- the spec's settings for Kubernetes are a patch of that pod.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

HARDENED = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
NON_ROOT = {**HARDENED, "runAsNonRoot": True}
# Of the workflow controller's ConfigMap.
ARGO = {"name": "wait", "securityContext": {**NON_ROOT, "runAsUser": 65532}}
SCRATCH = ("kfp-launcher", "gcs-scratch", "s3-scratch", "minio-scratch", "dot-local-scratch", "dot-cache-scratch",
           "dot-config-scratch", "var-run-argo", "tmp-dir-argo")  # fmt: skip


@dataclass(frozen=True)
class Pod:
    """A pod of a run.

    Attributes:
        name: Name of the step, or of the step or group with `-driver`.
        is_driver: Whether it only prepares a step or a group.
        manifest: Its `metadata` and `spec`.
    """

    name: str
    is_driver: bool
    manifest: dict[str, Any]


def run_pods(documents: list[dict[str, Any]], outputs: Mapping[str, bool] | None = None) -> list[Pod]:
    """Return the pods of a run that does not fail.

    Args:
        documents: The parsed YAML documents of a compiled spec.
        outputs: Values of the outputs that conditions compare, such as `{"validate-examples-valid": True}`. Defaults to a
            run that takes every branch.
    """
    return [_driver("root"), *_group(documents, documents[0]["root"]["dag"], _decide(outputs))]


def _group(documents: list[dict[str, Any]], dag: Mapping[str, Any], is_taken: Callable[[str], bool]) -> Iterator[Pod]:
    for name, task in dag["tasks"].items():
        # The driver evaluates the condition, so that it also runs for a branch that is not taken.
        yield _driver(name)
        if not is_taken(task.get("triggerPolicy", {}).get("condition", "")):
            continue
        component = documents[0]["components"][task["componentRef"]["name"]]
        if "dag" in component:
            yield from _group(documents, component["dag"], is_taken)
        else:
            yield _step(name, _settings(documents, component["executorLabel"]))


def _decide(outputs: Mapping[str, bool] | None) -> Callable[[str], bool]:
    def is_taken(condition: str) -> bool:
        if outputs is None or not condition:
            return True
        negated = condition.startswith("!(")
        channel, _, value = condition.removeprefix("!(").removesuffix(")").partition(" == ")
        output = channel.removeprefix("inputs.parameter_values['pipelinechannel--").removesuffix("']")
        return (outputs[output] == {"true": True, "false": False}[value]) is not negated

    return is_taken


def _driver(name: str) -> Pod:
    spec = {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": HARDENED["seccompProfile"]},
        "containers": [{"name": "main", "securityContext": NON_ROOT}, ARGO],
        "initContainers": [{**ARGO, "name": "init"}],
        "volumes": [{"name": "var-run-argo", "emptyDir": {}}, {"name": "tmp-dir-argo", "emptyDir": {}}],
    }
    return Pod(f"{name}-driver", True, {"metadata": {}, "spec": spec})


def _step(name: str, settings: Mapping[str, Any]) -> Pod:
    context = dict(HARDENED)
    if "securityContext" in settings:
        # The driver merges the three identity fields, and drops all capabilities.
        context |= settings["securityContext"]
    spec = {
        # User and group are not set for the whole pod, which the user's image may contradict.
        "securityContext": {"seccompProfile": HARDENED["seccompProfile"]},
        "containers": [{"name": "main", "securityContext": context}, ARGO],
        "initContainers": [
            {**ARGO, "name": "init"},
            {"name": "kfp-launcher", "securityContext": NON_ROOT},
            *({"name": one["name"], "securityContext": HARDENED} for one in settings.get("initContainers", [])),
        ],
        "volumes": [{"name": volume, "emptyDir": {}} for volume in SCRATCH] + list(_volumes(settings)),
    }
    return Pod(name, False, {"metadata": settings.get("podMetadata", {}), "spec": spec})


def _volumes(settings: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    kinds = {
        "pvcMount": "persistentVolumeClaim",
        "secretAsVolume": "secret",
        "configMapAsVolume": "configMap",
        "emptyDirMounts": "emptyDir",
        "genericEphemeralVolume": "ephemeral",
    }
    for field, kind in kinds.items():
        for count, _ in enumerate(settings.get(field, [])):
            yield {"name": f"{field}-{count}", kind: {}}


def _settings(documents: list[dict[str, Any]], executor: str) -> dict[str, Any]:
    for document in documents[1:]:
        executors = document["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        return dict(executors.get(executor, {}))
    return {}
