"""TensorFlow Serving's ModelServerConfig, as text and as a message."""

from collections.abc import Iterable, Mapping
from typing import Any

from google.protobuf import text_format

from tiffin.errors import InputError
from tiffin.serving import wire


def read_config(text: str) -> Any:
    """Parse a text-format ModelServerConfig.

    Raises:
        InputError: The text is not a ModelServerConfig; the message has the line number.
    """
    message = wire.ModelServerConfig()
    try:
        text_format.Parse(text, message, descriptor_pool=wire.POOL)
    except text_format.ParseError as error:
        line = error.GetLine()
        where = f" in line {line}" if line else ""
        quoted = f" ('{text.splitlines()[line - 1].strip()}')" if line and line <= len(text.splitlines()) else ""
        raise InputError(
            f"Could not parse the ModelServerConfig{where}{quoted}: {error}. "
            "Correct it, or generate it with `tiffin.serving.model_config`."
        ) from None
    return message


def format_config(message: Any) -> str:
    """Return a ModelServerConfig as text; equal messages give equal text."""
    return str(text_format.MessageToString(message, descriptor_pool=wire.POOL))


def make_config(models: Iterable[Any] = ()) -> Any:
    """Return a ModelServerConfig of these models.

    Raises:
        InputError: A model is listed twice.
    """
    config = wire.ModelServerConfig()
    config.model_config_list.SetInParent()
    for model in models:
        if find_model(config, model.name) is not None:
            raise InputError(f"A config should list each model once. Received: '{model.name}' twice. Remove one.")
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
        name: Name of the model on the server.
        base_path: Folder with one subfolder per version: an absolute path or a URI, as seen by the server.
        versions: Versions to load; excludes `latest`.
        labels: Version label to version.
        latest: Number of newest versions to load; excludes `versions`. Defaults to the server's default, 1.

    Raises:
        InputError: The server would reject the entry.
    """
    if not name:
        raise InputError("A model's name should not be empty. Received: ''.")
    if "://" not in base_path and not base_path.startswith("/"):
        raise InputError(
            f"base_path of model '{name}' should be an absolute path or a URI. Received: '{base_path}'. "
            "Use the path as seen by the server."
        )
    model = wire.ModelConfig(name=name, base_path=base_path, model_platform="tensorflow")
    numbers = None if versions is None else sorted(set(versions))
    if numbers is not None:
        if latest is not None or not numbers or numbers[0] < 0:
            raise InputError(
                f"Model '{name}' should have either versions, each at least 0, or latest. "
                f"Received: versions={numbers}, latest={latest}."
            )
        model.model_version_policy.specific.versions.extend(numbers)
    elif latest is not None:
        model.model_version_policy.latest.num_versions = latest
    for label, version in (labels or {}).items():
        if numbers is not None and version not in numbers:
            raise InputError(
                f"A label of model '{name}' should refer to one of its versions, {numbers}. "
                f"Received: '{label}' for version {version}. Add the version."
            )
        model.version_labels[label] = version
    return model


def find_model(config: Any, name: str) -> Any | None:
    """Return the entry of a model in a config, or None."""
    return next((model for model in config.model_config_list.config if model.name == name), None)


def specific_versions(model: Any) -> list[int]:
    """Return the versions in an entry's specific version policy; none if it has another policy."""
    return list(model.model_version_policy.specific.versions)
