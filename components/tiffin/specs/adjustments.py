"""Adjust the steps of a compiled pipeline without changing its source: sizes, deadlines and volumes."""

import copy
import dataclasses
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from tiffin.errors import InputError, did_you_mean
from tiffin.specs.component_names import name_in_order
from tiffin.specs.sizes import read_size, resources
from tiffin.specs.spec import Spec
from tiffin.specs.steps import Step, read_steps
from tiffin.specs.yaml_text import load_documents

# A component that is a DAG, and no condition, loop or exit handler.
_NESTED = re.compile(
    rb"(?m)^  comp-(?!(?:condition|condition-branches|exit-handler|for-loop)-\d+(?:-\d+)*:).*:\n    dag:$"
)
# Name of the environment variable.
_USUAL = "TIFFIN_MOUNT"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Adjustments:
    """Values of the options `--size`, `--deadline` and `--mount`, and of the environment variable TIFFIN_MOUNT.

    A step is given by its name or by its first word.

    Attributes:
        sizes: `step=size`: CPU, memory and accelerators.
        deadlines: `step=time`: maximum running time of the step's pod, a number and `s`, `m`, `h` or `d`.
        mounts: `step=claim:/path`: volumes, for example for the serving root or data. A pipeline's source does not mount
            them, because a claim cannot be optional: a pod waits until it exists.
        usual_mounts: `step=claim:/path` of TIFFIN_MOUNT, for all pipelines of a cluster. Those of steps that a pipeline does
            not have are skipped; `find_skipped` lists them.
    """

    sizes: tuple[str, ...] = ()
    deadlines: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    usual_mounts: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any adjustments."""
        return bool(self.usual_mounts) or self.is_for_one

    @property
    def is_for_one(self) -> bool:
        """Whether there are adjustments that name steps of one pipeline."""
        return bool(self.sizes or self.deadlines or self.mounts)


NONE = Adjustments()


def adjust(spec: Spec, adjustments: Adjustments) -> Spec:
    """Return a compiled pipeline with adjusted steps; `spec` itself if there are no adjustments.

    Raises:
        InputError: A setting has an unknown step or an invalid value.
    """
    usual = [
        setting for setting in adjustments.usual_mounts if _match_steps(_read_mount(_USUAL, setting)[0], spec.steps)
    ]
    if not usual and not adjustments.is_for_one:
        return spec
    documents = copy.deepcopy(list(spec.documents))
    for setting in adjustments.sizes:
        _resize(setting, spec.steps, documents)
    for setting in adjustments.deadlines:
        _limit(setting, spec.steps, documents)
    for setting in adjustments.mounts:
        _mount("--mount", setting, spec.steps, documents)
    for setting in usual:
        _mount(_USUAL, setting, spec.steps, documents)
    return _rewritten(spec, documents)


def find_skipped(spec: Spec, adjustments: Adjustments) -> list[str]:
    """Return a line for each mount of TIFFIN_MOUNT whose step the pipeline does not have."""
    names = [step.name for step in spec.steps]
    lines = []
    for setting in adjustments.usual_mounts:
        name = _read_mount(_USUAL, setting)[0]
        if not _match_steps(name, spec.steps):
            hint = did_you_mean(name.replace("_", "-"), names)
            lines.append(f"{spec.name} has no step '{name}', so '{setting}' of {_USUAL} is not mounted.{hint}")
    return lines


def run_as_non_root(spec: Spec) -> Spec:
    """Return a compiled component that the cluster refuses to start as root.

    It adds what `set_up` gives to a step: kfp has no way to declare it for a component.
    """
    documents = copy.deepcopy(list(spec.documents))
    for step in spec.steps:
        _kubernetes_config(step, documents)["securityContext"] = {"runAsNonRoot": True}
    return _rewritten(spec, documents)


def named_in_order(content: bytes) -> bytes:
    """Return the YAML of a spec with the components of nested pipelines named by the order of their tasks.

    Args:
        content: The YAML, as kfp's compiler writes it.
    """
    # Parsing takes longer than this look.
    if not _NESTED.search(content):
        return content
    return _format(content, name_in_order(load_documents(content)))


def _rewritten(spec: Spec, documents: list[dict[str, Any]]) -> Spec:
    content = _format(spec.content, documents)
    return dataclasses.replace(spec, content=content, documents=tuple(documents), steps=tuple(read_steps(documents[0])))


def _format(before: bytes, documents: list[dict[str, Any]]) -> bytes:
    """Return documents in the same format as kfp's, below the original comments."""
    head = b"".join(line for line in before.splitlines(keepends=True) if line.startswith(b"#"))
    return head + yaml.dump_all(documents, sort_keys=True).encode()


def find_steps(option: str, name: str, steps: Iterable[Step]) -> list[Step]:
    """Return the steps that an option names, by their name or by a unique first word.

    They are several if a nested pipeline has a step of the same name.

    Raises:
        InputError: No step matches, or those of several names do.
    """
    found = _match_steps(name, steps := tuple(steps))
    if len({step.name for step in found}) != 1:
        names = sorted({step.name for step in steps})
        hint = did_you_mean(name.replace("_", "-"), names)
        raise InputError(f"{option} should name one step of: {', '.join(names)}. Received: '{name}'.{hint}")
    return found


def _match_steps(name: str, steps: Iterable[Step]) -> list[Step]:
    wanted = name.replace("_", "-")
    known = sorted(steps, key=lambda step: step.name)
    found = [step for step in known if step.name == wanted]
    return found or [step for step in known if step.name.startswith(f"{wanted}-")]


def _resize(setting: str, steps: Iterable[Step], documents: list[dict[str, Any]]) -> None:
    name, separator, text = setting.partition("=")
    if not separator:
        raise InputError(f"--size should be STEP=SIZE, for example train=large. Received: '{setting}'.")
    for step in find_steps("--size", name, steps):
        executor = documents[0]["deploymentSpec"]["executors"][step.executor]
        executor["container"]["resources"] = resources(read_size(text))


def _limit(setting: str, steps: Iterable[Step], documents: list[dict[str, Any]]) -> None:
    name, _, text = setting.partition("=")
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    seconds = round(float(match[1]) * _SECONDS[match[2]]) if match else 0
    if seconds < 1:
        raise InputError(
            "--deadline should be STEP=TIME in s, m, h or d, at least 1 s, for example train=12h. "
            f"Received: '{setting}'."
        )
    for step in find_steps("--deadline", name, steps):
        # Same format as kfp-kubernetes': JSON holds 64-bit numbers as strings.
        _kubernetes_config(step, documents)["activeDeadlineSeconds"] = str(seconds)


def _read_mount(option: str, setting: str) -> tuple[str, str, str]:
    """Return the step, the claim and the path of `step=claim:/path`."""
    match = re.fullmatch(r"([^=]+)=([a-z0-9][a-z0-9.-]*):(/\S+)", setting)
    if not match:
        raise InputError(
            f"{option} should be STEP=CLAIM:/PATH, for example deploy=tiffin-serving-root:/serving. "
            f"Received: '{setting}'."
        )
    name, claim, path = match.groups()
    return name, claim, path


def _mount(option: str, setting: str, steps: Iterable[Step], documents: list[dict[str, Any]]) -> None:
    name, claim, path = _read_mount(option, setting)
    # Same format as kfp-kubernetes': `constant` for backends before 2.5, `pvcNameParameter` since.
    mount = {"constant": claim, "mountPath": path, "pvcNameParameter": {"runtimeValue": {"constant": claim}}}
    for step in find_steps(option, name, steps):
        mounts = _kubernetes_config(step, documents).setdefault("pvcMount", [])
        if mount in mounts:
            # The spec may have been compiled with it.
            continue
        if any(other["mountPath"] == path for other in mounts):
            raise InputError(
                f"{option} should use each path once per step. Received: '{setting}', which is already mounted."
            )
        mounts.append(copy.deepcopy(mount))


def _kubernetes_config(step: Step, documents: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the step's platform config for Kubernetes, in kfp-kubernetes' format; created if missing, and mutable."""
    if len(documents) == 1:
        documents.append({"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}})
    executors = documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    config: dict[str, Any] = executors.setdefault(step.executor, {})
    return config
