"""The pods of every compiled spec, and the restricted Pod Security Standard."""

from typing import Any

import pytest
import yaml
from kfp import dsl

import tiffin
from support import toy_pipelines as toys
from support.kfp_pods import Pod, run_pods
from support.pod_security import RULES, find_violations
from tiffin.authoring.compilation import compile_component, compile_pipeline, compile_spec, pipeline_names
from tiffin.authoring.settings import set_up
from tiffin.stages import find_components

COMPILED = [(compile_pipeline, name) for name in pipeline_names()] + [
    (compile_component, name) for name in find_components()
]


def pods(content: bytes) -> dict[str, Pod]:
    return {pod.name: pod for pod in run_pods(list(yaml.safe_load_all(content)))}


def broken(content: bytes) -> dict[str, list[str]]:
    return {name: found for name, pod in pods(content).items() if (found := find_violations(pod.manifest))}


@pytest.mark.parametrize(("compiled", "name"), COMPILED, ids=lambda part: part if isinstance(part, str) else "")
def test_every_pod_of_a_compiled_spec_follows_the_restricted_standard(compiled: Any, name: str) -> None:
    assert broken(compiled(name)) == {}


def test_set_up_makes_a_step_of_tiffin_follow_it() -> None:
    @dsl.pipeline(name="mine")
    def mine() -> None:
        set_up(tiffin.ingest_examples(), "Ingest")
        set_up(tiffin.stop_run(gate="a", reason="b"), "Stop", size="large", retries=1, needs=())

    assert broken(compile_spec(mine)) == {}


def test_a_step_without_set_up_is_refused_for_one_rule() -> None:
    @dsl.pipeline(name="mine")
    def mine() -> None:
        tiffin.ingest_examples()

    assert broken(compile_spec(mine)) == {"ingest-examples": ["run_as_non_root: main"]}


@pytest.mark.parametrize(("chosen", "expected"), [(None, None), (True, True), (False, False)])
def test_the_image_of_another_component_may_need_root(chosen: bool | None, expected: bool | None) -> None:
    @dsl.pipeline(name="mine")
    def mine() -> None:
        set_up(toys.say_more(number=1), "Say", run_as_non_root=chosen)

    content = compile_spec(mine)

    context = pods(content)["say-more"].manifest["spec"]["containers"][0]["securityContext"]
    assert context.get("runAsNonRoot") is expected
    assert bool(broken(content)) is (expected is not True)


def test_a_component_of_tiffin_may_be_run_as_root_explicitly() -> None:
    @dsl.pipeline(name="mine")
    def mine() -> None:
        set_up(tiffin.ingest_examples(), "Ingest", run_as_non_root=False)

    assert broken(compile_spec(mine)) == {"ingest-examples": ["run_as_non_root: main"]}


GOOD: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {"name": "a", "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}}
    ],
}


def with_context(**change: Any) -> dict[str, Any]:
    container = {"name": "a", "securityContext": {**GOOD["containers"][0]["securityContext"], **change}}
    return {**GOOD, "containers": [container]}


def with_pod_context(**change: Any) -> dict[str, Any]:
    return {**GOOD, "securityContext": {**GOOD["securityContext"], **change}}


def test_a_pod_that_follows_the_standard_is_admitted() -> None:
    assert find_violations({"spec": GOOD}) == []
    # A container may say what the pod does not.
    assert (
        find_violations(
            {"spec": {**with_context(runAsNonRoot=True), "securityContext": {"seccompProfile": {"type": "Localhost"}}}}
        )
        == []
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"containers": [{"name": "a"}]},
            ["allow_privilege_escalation: a", "capabilities: a", "run_as_non_root: a", "seccomp_profile: a"],
        ),
        (with_context(allowPrivilegeEscalation=True), ["allow_privilege_escalation: a"]),
        (with_context(appArmorProfile={"type": "Unconfined"}), ["app_armor_profile: a"]),
        (with_context(capabilities={"drop": ["ALL"], "add": ["CHOWN"]}), ["capabilities: a"]),
        (with_context(capabilities={"drop": ["all"]}), ["capabilities: a"]),
        ({**GOOD, "hostNetwork": True}, ["host_namespaces: hostNetwork"]),
        ({**GOOD, "containers": [{**GOOD["containers"][0], "ports": [{"hostPort": 80}]}]}, ["host_ports: a"]),
        (with_context(privileged=True), ["privileged: a"]),
        (with_context(procMount="Unmasked"), ["proc_mount: a"]),
        ({**GOOD, "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, ["restricted_volumes: v"]),
        (
            {
                **GOOD,
                "initContainers": [
                    {
                        **GOOD["containers"][0],
                        "name": "b",
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                            "runAsNonRoot": False,
                        },
                    }
                ],
            },
            ["run_as_non_root: b"],
        ),
        (with_pod_context(runAsNonRoot=None), ["run_as_non_root: a"]),
        (with_pod_context(runAsUser=0), ["run_as_user: pod"]),
        (with_context(seccompProfile={"type": "Unconfined"}), ["seccomp_profile: a"]),
        (with_pod_context(seLinuxOptions={"user": "u"}), ["selinux_options: pod"]),
        (with_pod_context(sysctls=[{"name": "kernel.msgmax"}]), ["sysctls: kernel.msgmax"]),
        (with_pod_context(windowsOptions={"hostProcess": True}), ["windows_host_process: pod"]),
    ],
)
def test_a_pod_that_breaks_a_rule_is_refused(spec: dict[str, Any], expected: list[str]) -> None:
    assert find_violations({"spec": spec}) == expected


def test_every_rule_is_broken_by_one_of_these_pods() -> None:
    (marker,) = test_a_pod_that_breaks_a_rule_is_refused.pytestmark  # type: ignore[attr-defined]
    names = {line.partition(":")[0] for _, expected in marker.args[1] for line in expected}

    assert names == {rule.__name__ for rule in RULES}
