"""The ModelServerConfig that tells TensorFlow Serving which models and versions to load, as text and as a message."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import text_format

from tiffin.errors import InputError
from tiffin.serving import wire


def read_config(text: str) -> Any:
    """Return the message that a text-format ModelServerConfig holds.

    Raises:
        InputError: The text is not a ModelServerConfig; the message says in which line.
    """
    message = wire.ModelServerConfig()
    try:
        text_format.Parse(text, message, descriptor_pool=wire.POOL)
    except text_format.ParseError as error:
        line = error.GetLine()
        where = f" in line {line}" if line else ""
        quoted = f" ('{text.splitlines()[line - 1].strip()}')" if line and line <= len(text.splitlines()) else ""
        raise InputError(
            f"A model config should be a ModelServerConfig in text format. Received{where}{quoted}: {error}. "
            "Correct it, or write it again with `tiffin.serving.model_config`."
        ) from None
    return message


def format_config(message: Any) -> str:
    """Return a ModelServerConfig as text, the same for the same content."""
    return str(text_format.MessageToString(message, descriptor_pool=wire.POOL))


def make_config(models: Iterable[Any] = ()) -> Any:
    """Return a ModelServerConfig that lists these models.

    Raises:
        InputError: A model is listed twice.
    """
    config = wire.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        if find_model(config, model.name) is not None:
            raise InputError(f"A config should list each model once. Received: '{model.name}' twice. Leave one out.")
        config.model_config_list.config.add().CopyFrom(model)
    return config


def make_model(
    name: str,
    base_path: str,
    versions: Iterable[int] | None = None,
    labels: Mapping[str, int] | None = None,
    *,
    latest: int | None = None,
) -> Any:
    """Return the entry of one model.

    Args:
        name: What clients ask for.
        base_path: The folder of its version folders: an absolute path or a URI, as the server sees it.
        versions: The versions to load.
        labels: Names for some of them.
        latest: Load this many of the newest versions instead. Defaults to the server's choice, 1, without `versions`.

    Raises:
        InputError: A rule of the server is broken, so that it would refuse the config.
    """
    if not name:
        raise InputError("A model should have a name. Received: ''. Give one.")
    if "://" not in base_path and not base_path.startswith("/"):
        raise InputError(
            f"The base path of model '{name}' should be absolute, or a URI. Received: '{base_path}'. "
            "Give it as the server sees it."
        )
    model = wire.ModelConfig(name=name, base_path=base_path, model_platform="tensorflow")
    numbers = None if versions is None else sorted(set(versions))
    if numbers is not None:
        if latest is not None or not numbers or numbers[0] < 0:
            raise InputError(
                f"Model '{name}' should have versions from 0, or a number of latest ones. "
                f"Received: versions={numbers}, latest={latest}. Give one of them."
            )
        model.model_version_policy.specific.versions.extend(numbers)
    elif latest is not None:
        model.model_version_policy.latest.num_versions = latest
    for label, version in (labels or {}).items():
        if numbers is not None and version not in numbers:
            raise InputError(
                f"A label should point at a version that is loaded. Received: '{label}' at {version} of '{name}', "
                f"which loads {numbers}. Add the version."
            )
        model.version_labels[label] = version
    return model


def find_model(config: Any, name: str) -> Any | None:
    """Return the entry of a model in a config, or None."""
    return next((model for model in config.model_config_list.config if model.name == name), None)


def specific_versions(model: Any) -> list[int]:
    """Return the versions that an entry names one by one; none if it has another policy."""
    return list(model.model_version_policy.specific.versions)
