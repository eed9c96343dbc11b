"""The versions in a model's base path, and those selected by its policy.

Follows tensorflow/serving's sources/storage_path/file_system_storage_path_source.cc: a missing base path fails the whole
poll, so that a transient fault of a file system unloads nothing; an empty one selects no version.
"""

import logging
import os
import re
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tiffin.errors import ServingError
from tiffin.model_server import codes

_log = logging.getLogger(__name__)
_INT64 = range(-(2**63), 2**63)


def poll(models: Sequence[Any]) -> dict[str, dict[int, str]]:
    """Return the versions to serve of every model.

    Args:
        models: `ModelConfig` messages.

    Returns:
        model -> version -> directory, of the versions selected by the models' policies.

    Raises:
        ServingError: A base path cannot be read.
    """
    return {model.name: _wanted(model) for model in models}


def _wanted(model: Any) -> dict[int, str]:
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice") or "latest"
    if choice == "specific" and not policy.specific.versions:
        exists(model)
        _log.warning("No specific versions requested for servable %s.", model.name)
        return {}
    versions = _versions(model)
    if choice == "latest":
        wanted = sorted(versions, reverse=True)[: max(policy.latest.num_versions, 1)]
    elif choice == "all":
        wanted = sorted(versions)
    else:
        wanted = [version for version in sorted(set(policy.specific.versions)) if version in versions]
        for version in sorted(set(policy.specific.versions) - set(versions)):
            _log.warning(
                "Version %d of servable %s, which was requested to be served as a 'specific' version in the "
                "servable's version policy, was not found in the file system",
                version,
                model.name,
            )
    if not wanted:
        _log.warning(
            "No versions of servable %s found under base path %s. Did you forget to name your leaf directory as a "
            "number (eg. '/1/')?",
            model.name,
            model.base_path,
        )
    return {version: versions[version] for version in wanted}


def exists(model: Any) -> None:
    """Check that a model's base path exists.

    Raises:
        ServingError: It is missing, or on a file system that TensorFlow does not support.
    """
    reason = f"NOT_FOUND: {model.base_path} not found"
    try:
        if tf.io.gfile.exists(model.base_path):
            return
    except tf.errors.OpError as caught:
        error = codes.from_tensorflow(caught)
        reason = f"{error.code}: {error}"
    raise ServingError(
        f"Could not find base path {model.base_path} for servable {model.name} with error {reason}",
        "INVALID_ARGUMENT",
    )


def _versions(model: Any) -> dict[int, str]:
    exists(model)
    versions: dict[int, str] = {}
    for child in sorted(name.rstrip("/") for name in _listed(model.base_path)):
        # As absl::SimpleAtoi: surrounding white space and a sign are accepted, and 00000123 is 123.
        if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", child) or (version := int(child)) not in _INT64:
            continue
        if version in versions:
            _log.warning(
                "Duplicate version directories detected. Version %d will be loaded from %s, %s will be ignored.",
                version,
                child,
                os.path.basename(versions[version]),
            )
        versions[version] = os.path.join(model.base_path, child)
    return versions


def _listed(path: str) -> list[str]:
    try:
        return list(tf.io.gfile.listdir(path))
    except tf.errors.OpError as error:
        raise codes.from_tensorflow(error) from error
