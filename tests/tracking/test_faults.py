"""Errors of MLflow as users read them."""

import pytest
from mlflow.tracking import MlflowClient

from support.waiting import free_port
from tiffin.errors import StorageError
from tiffin.tracking.faults import explained

RUNS_IN = ("model",)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "127.0.0.1"])
def test_a_server_that_is_not_there(monkeypatch, host):
    """A name that does not resolve is that of a server that nobody installed, as with the manifests without MLflow."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    uri = f"http://{host}:{free_port()}"
    with pytest.raises(StorageError, match=uri) as caught, explained(uri):
        MlflowClient(uri).search_experiments()

    assert ("http://mlflow:5000" in str(caught.value)) == (host != "127.0.0.1")
