"""Check what a run needs on the cluster, before anything is sent: paths that its steps can read, and images."""

import os
import posixpath
from collections.abc import Iterator, Mapping
from typing import Any

from tiffin import images
from tiffin.errors import InputError
from tiffin.specs.spec import Spec
from tiffin.specs.steps import Step
from tiffin.stages import find_components
from tiffin.stages.traits import Location


def check_paths(spec: Spec, values: Mapping[str, Any], *, allow_paths: bool = False) -> None:
    """Refuse a path that a step cannot read in its pod: one that is relative, or below no volume of the step.

    The inputs that are paths are declared in the traits of their components; other components are not checked.

    Args:
        spec: Spec to run.
        values: Return value of `gather_parameters`.
        allow_paths: Accept every absolute path. Defaults to False.

    Raises:
        InputError: A value is such a path.
    """
    for step in spec.steps:
        row = find_components().get(step.function)
        volumes = list(_mount_paths(spec, step))
        for name, location in row.locations.items() if row else ():
            parameter = step.inputs.get(name)
            value = values.get(parameter, spec.parameters[parameter].default) if parameter else step.constants.get(name)
            # A constant that is made from an output, such as {{$.outputs...}}, is known in the run only.
            if not isinstance(value, str) or not value or "{{$" in value:
                continue
            path = location.path(value)
            if not path or (posixpath.isabs(path) and (allow_paths or _is_below(path, volumes))):
                continue
            raise InputError(_refusal(step, parameter or name, value, path, location, volumes))


def image_warnings(spec: Spec) -> list[str]:
    """Return a warning for images that a cluster can only have if they were loaded into its nodes, or no warning."""
    names = sorted({step.image for step in spec.steps if images.is_local(step.image)})
    if not names:
        return []
    return [
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} in no registry, so the cluster cannot pull "
        f"{'it' if len(names) == 1 else 'them'}. Set TIFFIN_IMAGE_PREFIX to your registry, such as "
        "registry.example/team, and run `make images images-push`. Ignore this if the images are loaded into the nodes."
    ]


def _mount_paths(spec: Spec, step: Step) -> Iterator[str]:
    """Yield the paths of all volumes of a step: claims, secrets, config maps and empty folders."""
    for document in spec.documents[1:]:
        kubernetes = document.get("platforms", {}).get("kubernetes", {})
        config = kubernetes.get("deploymentSpec", {}).get("executors", {}).get(step.executor, {})
        for volumes in config.values():
            for volume in volumes if isinstance(volumes, list) else ():
                if isinstance(volume, dict) and volume.get("mountPath"):
                    yield volume["mountPath"]


def _is_below(path: str, volumes: list[str]) -> bool:
    path = posixpath.normpath(path)
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in map(posixpath.normpath, volumes))


def _refusal(step: Step, name: str, value: str, path: str, location: Location, volumes: list[str]) -> str:
    if not posixpath.isabs(path):
        why = "a path that is not absolute"
    elif os.path.exists(path):
        why = "a path of this machine"
    else:
        why = "a path below no volume of the step"
    other = " For a path that the pod has by other means, such as one in the image, add --allow-paths."
    mounted = f" (mounted: {', '.join(volumes)})" if volumes else ""
    return (
        f"{name} should be a location that the step {step.name} can read on the cluster{mounted}. "
        f"Received: {name}='{value}', {why}. {location.instead[0].upper()}{location.instead[1:]}, or mount a volume claim "
        f"with --mount {step.name}=CLAIM:/PATH or TIFFIN_MOUNT and pass a path below /PATH."
        f"{other if posixpath.isabs(path) else ''}"
    )
