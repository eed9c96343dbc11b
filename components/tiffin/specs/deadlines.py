"""Deadlines of steps: how long the pod of a step may run before the cluster stops it."""

import re
from collections.abc import Iterable
from typing import Any

from tiffin.errors import InputError
from tiffin.specs.executors import find_executor, kubernetes_config

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def limit(documents: list[dict[str, Any]], settings: Iterable[str]) -> None:
    """Give steps of a compiled pipeline other deadlines; nothing else changes.

    Args:
        documents: Of the spec, which are changed.
        settings: `step=time` each: a number and `s`, `m`, `h` or `d`. A step's first word will do where only one step
            begins with it.

    Raises:
        InputError: A setting names no step, or no time of at least a second.
    """
    for setting in settings:
        step, _, text = setting.partition("=")
        match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
        seconds = round(float(match[1]) * _SECONDS[match[2]]) if match else 0
        if seconds < 1:
            raise InputError(
                "--deadline should be step=time in s, m, h or d, at least a second, such as train-model=12h. "
                f"Received: '{setting}'."
            )
        label = find_executor("--deadline", step, documents)
        # As kfp-kubernetes writes it: a number of 64 bits is text in JSON.
        kubernetes_config(documents, label)["activeDeadlineSeconds"] = str(seconds)
