"""Rules of MLflow tracking URIs. Does not import MLflow, so they can be checked before a run starts."""

import os
import re

from tiffin.errors import InputError
from tiffin.masking import has_secret


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


def has_uri(tracking_uri: str) -> bool:
    """Return whether there is a tracking URI: the parameter, or else that of the environment."""
    return bool(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))


def uri_of(tracking_uri: str) -> str:
    """Return the tracking URI: the parameter, or else that of the environment.

    Raises:
        InputError: There is none, it has a secret, or its login is not encoded.
    """
    check_tracking_uri(tracking_uri)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI", "")
    if not uri:
        raise InputError(
            "tracking_uri should be an MLflow tracking URI. Received: tracking_uri='', and MLFLOW_TRACKING_URI is not "
            "set. Set one of them, such as http://mlflow:5000 or sqlite:////path/mlflow.db."
        )
    check_login(uri)
    return uri
