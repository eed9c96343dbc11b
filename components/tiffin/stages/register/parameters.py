"""The rules of the register stage's parameters, without MLflow: a run can hold to them before its first step starts."""

import re

from tiffin.errors import InputError

# What MLflow takes as a model's name, and every file system and bucket as a folder's: the name is both.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
# user:password@ before the host, or a password among the options of a database's address.
_PASSWORD = re.compile(r"://[^/@]*:[^@]*@|[?&]password=", re.IGNORECASE)


def check_model_name(name: str) -> None:
    """Raise an InputError unless `name` can name a model in the registry and its folder in the serving root."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"model_name should be up to 128 letters, digits, '_', '-' and '.', the first a letter or digit. "
            f"Received: model_name='{name}'. Choose such a name."
        )


def check_tracking_uri(uri: str) -> None:
    """Raise an InputError if the parameter `tracking_uri` holds a password.

    A parameter's value stands in the spec of the run, in the backend's record of it and in the logs of its steps. What an
    environment variable holds does not.
    """
    if _PASSWORD.search(uri):
        raise InputError(
            "tracking_uri should hold no password: parameters are shown with the run and in its logs. Received: an "
            "address with one. Leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in the step's "
            "environment, from a secret; for a database, leave tracking_uri empty and set MLFLOW_TRACKING_URI there."
        )
