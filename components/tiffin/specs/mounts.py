"""Volumes of steps: a claim that a step's pod mounts, for a serving root or data that lie on a volume."""

import re
from collections.abc import Iterable
from typing import Any

from tiffin.errors import InputError
from tiffin.specs.executors import find_executor, kubernetes_config


def mount(documents: list[dict[str, Any]], settings: Iterable[str]) -> None:
    """Have steps of a compiled pipeline mount volumes; nothing else changes.

    They are mounted here and not in the pipeline's source, because a claim cannot be optional: a pod waits for it.

    Args:
        documents: Of the spec, which are changed.
        settings: `step=claim:/path` each. A step's first word will do where only one step begins with it.

    Raises:
        InputError: A setting names no step, claim or absolute path, or a path twice.
    """
    for setting in settings:
        match = re.fullmatch(r"([^=]+)=([a-z0-9][a-z0-9.-]*):(/\S+)", setting)
        if not match:
            raise InputError(
                f"--mount should be step=claim:/path, such as deploy-model=tiffin-serving-root:/serving. Received: '{setting}'."
            )
        step, claim, path = match.groups()
        label = find_executor("--mount", step, documents)
        mounts = kubernetes_config(documents, label).setdefault("pvcMount", [])
        if any(other["mountPath"] == path for other in mounts):
            raise InputError(
                f"--mount should name a path once for a step. Received: '{setting}' for a path that is taken."
            )
        # As kfp-kubernetes writes it: one name for backends before 2.5, one for those since.
        mounts.append({"constant": claim, "mountPath": path, "pvcNameParameter": {"runtimeValue": {"constant": claim}}})
