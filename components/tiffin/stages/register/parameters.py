"""Rules of the register stage's parameters. Does not import MLflow, so they can be checked before a run starts."""

import re
import urllib.parse

from tiffin.errors import InputError
from tiffin.masking import has_secret
from tiffin.stages.traits import path_of

# Valid both as a model name in MLflow and as a folder name in any file system or bucket.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def check_model_name(name: str) -> None:
    """Raise an InputError unless `name` is valid in the model registry and as a folder in the serving root."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"model_name should be up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit. "
            f"Received: model_name='{name}'."
        )


def check_optional_name(name: str) -> None:
    """Raise an InputError unless `name` is empty or a valid name of a model."""
    if name:
        check_model_name(name)


def check_tracking_uri(uri: str) -> None:
    """Raise an InputError if the parameter `tracking_uri` contains a password or a token.

    Parameter values appear in the run's spec, in the backend and in step logs; environment variables do not.
    """
    if has_secret(uri):
        raise InputError(
            "tracking_uri should not contain a password or a token, since parameters are shown with the run and in its "
            "logs. Received: a URI with one. Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN, in the step's environment from a secret; for a database, leave tracking_uri empty and "
            "set MLFLOW_TRACKING_URI there."
        )


def check_login(uri: str) -> None:
    """Raise an InputError if the tracking URI from the environment has a login that clients would misread.

    They would connect to another host, and show a part of the password in their errors.
    """
    scheme, _, rest = uri.partition("://")
    login, at, _ = rest.rpartition("@")
    misread = r"[/?#@]" if scheme.lower() in {"http", "https"} else "@"
    if at and not rest.startswith("/") and re.search(misread, login):
        raise InputError(
            "MLFLOW_TRACKING_URI should have its user and password percent-encoded: %2F for '/', %3F for '?', %23 for '#' "
            "and %40 for '@'. Received: a URI with such a character before its last '@'. Encode it, or set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead."
        )


def tracking_path(uri: str) -> str:
    """Return the path of the file store or the SQLite database that a tracking URI names; empty for a server."""
    if uri.startswith("sqlite:"):
        # sqlite:///name is relative, sqlite:////name absolute.
        return urllib.parse.unquote(uri.partition(":///")[2].partition("?")[0]) or "mlflow.db"
    # MLflow's words for a Databricks workspace.
    return "" if uri in {"databricks", "databricks-uc", "uc"} else path_of(uri)
