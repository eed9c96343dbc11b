"""The size of a step: requests and limits of CPU and memory, and accelerators.

A size is a name (`small`, `medium`, `large`), explicit parts, or a name with parts that override it:

    large
    cpu=500m:2,memory=2Gi:4Gi              request:limit; a single value sets both
    large,accelerator=nvidia.com/gpu:1     resource:count
"""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Size:
    """The resources of a step, in Kubernetes' units.

    Attributes:
        cpu_request: Guaranteed CPUs, such as `500m` or `2`.
        cpu_limit: Maximum CPUs.
        memory_request: Guaranteed memory, such as `2Gi`.
        memory_limit: Maximum memory; a step that exceeds it is killed.
        accelerator: Resource name of the accelerators, such as `nvidia.com/gpu`; empty for none.
        accelerators: Number of accelerators. Defaults to 0.
    """

    cpu_request: str
    cpu_limit: str
    memory_request: str
    memory_limit: str
    accelerator: str = ""
    accelerators: int = 0


# Importing TensorFlow takes 0.6 GB and most of a CPU, which the smallest size allows.
SIZES = {
    "small": Size("250m", "1", "1Gi", "2Gi"),
    "medium": Size("1", "2", "2Gi", "4Gi"),
    "large": Size("4", "8", "8Gi", "16Gi"),
}

_CPU = re.compile(r"(?:\d+m|\d*\.?\d+)")
_MEMORY = re.compile(r"\d+(?:[EPTGMK]i?)?")
_ACCELERATOR = re.compile(r"[a-z0-9][a-z0-9.-]*(?:/[A-Za-z0-9._-]+)?")
_BYTES: dict[str, int] = {"": 1, **{unit: 1000**power for power, unit in enumerate("KMGTPE", 1)}}
_BYTES |= {f"{unit}i": 1024**power for power, unit in enumerate("KMGTPE", 1)}


def read_size(text: str) -> Size:
    """Read a size.

    Args:
        text: A name, parts `cpu=`, `memory=` and `accelerator=`, or a name followed by parts. Without a name, parts that
            are left out are those of `medium`.

    Raises:
        InputError: A name or part is unknown, a quantity is invalid, or a request is above its limit.
    """
    name, *parts = text.split(",")
    if "=" in name:
        name, parts = "medium", [name, *parts]
    if name not in SIZES:
        raise InputError(
            f"A size should be {', '.join(SIZES)}, or explicit, for example cpu=500m:2,memory=2Gi:4Gi. "
            f"Received: '{text}'.{did_you_mean(name, SIZES)}"
        )
    size = SIZES[name]
    for part in parts:
        key, _, value = part.partition("=")
        if key == "cpu":
            request, limit = _request_and_limit(part, value, _CPU, _cpus, "2 or 500m:2")
            size = dataclasses.replace(size, cpu_request=request, cpu_limit=limit)
        elif key == "memory":
            request, limit = _request_and_limit(part, value, _MEMORY, _bytes, "4Gi or 2Gi:4Gi")
            size = dataclasses.replace(size, memory_request=request, memory_limit=limit)
        elif key == "accelerator":
            kind, _, count = value.partition(":")
            if not _ACCELERATOR.fullmatch(kind) or not re.fullmatch(r"[1-9]\d*|", count):
                raise InputError(
                    f"An accelerator should be resource:count, for example nvidia.com/gpu:1. Received: '{part}'."
                )
            size = dataclasses.replace(size, accelerator=kind, accelerators=int(count or 1))
        else:
            known = ("cpu", "memory", "accelerator")
            raise InputError(
                f"A part of a size should start with one of: {', '.join(f'{key}=' for key in known)}. "
                f"Received: '{part}' in '{text}'.{did_you_mean(key, known)}"
            )
    return size


def resources(size: Size) -> dict[str, Any]:
    """Return the container resources in kfp's format: numbers for backends before 2.5, and strings for later ones."""
    written: dict[str, Any] = {
        "cpuLimit": _cpus(size.cpu_limit),
        "cpuRequest": _cpus(size.cpu_request),
        "memoryLimit": _bytes(size.memory_limit) / 1e9,
        "memoryRequest": _bytes(size.memory_request) / 1e9,
        "resourceCpuLimit": size.cpu_limit,
        "resourceCpuRequest": size.cpu_request,
        "resourceMemoryLimit": size.memory_limit,
        "resourceMemoryRequest": size.memory_request,
    }
    if size.accelerator:
        count = str(size.accelerators)
        written["accelerator"] = {
            "count": count, "resourceCount": count, "resourceType": size.accelerator, "type": size.accelerator,
        }  # fmt: skip
    return written


def _request_and_limit(part: str, value: str, form: re.Pattern[str], measure: Any, example: str) -> tuple[str, str]:
    request, separator, limit = value.partition(":")
    limit = limit if separator else request
    if not form.fullmatch(request) or not form.fullmatch(limit) or not measure(limit):
        raise InputError(
            f"A size's part should be a quantity, or request:limit, for example {example}. Received: '{part}'."
        )
    if measure(request) > measure(limit):
        raise InputError(f"A request should not exceed its limit. Received: '{part}'. Write request:limit.")
    return request, limit


def _cpus(text: str) -> float:
    return float(text.removesuffix("m")) / (1000 if text.endswith("m") else 1)


def _bytes(text: str) -> int:
    number = text.rstrip("EPTGMKi")
    unit: int = _BYTES[text.removeprefix(number)]
    return int(number) * unit
