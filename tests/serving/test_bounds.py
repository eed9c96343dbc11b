"""Requests to a server that always fails end after a few attempts."""

import grpc
import numpy as np
import pytest

from support import faulty_proxy, model_servers, rest_server
from tiffin.errors import ServingError
from tiffin.serving import Client
from tiffin.serving.rest import RestClient
from tiffin.serving.signatures import TensorSpec


@pytest.mark.parametrize("fault", ["500", "503", "404", "drop", "lose", "cut", "reset"])
def test_rest(fault):
    inputs = {
        "miles": np.array([[1.5]], "f4"),
        "passengers": np.array([[2]], "i8"),
        "company": np.array([[b"a"]], object),
    }
    with rest_server.serve() as server, faulty_proxy.serve(f"http://{server.address}") as proxy:
        proxy.choose = lambda *_: fault
        client = RestClient(proxy.address, timeout_seconds=10)
        with pytest.raises(ServingError, match=proxy.address.removeprefix("http://")):
            client.predict(("taxi", None, None), inputs, "", {"scores": TensorSpec("float32", (None, 1))})
        client.close()

    assert 1 <= len(proxy.requests) <= 4


def test_grpc():
    with model_servers.serve() as server, Client(server.address) as client:
        for method in ("Predict", "GetModelStatus", "GetModelMetadata"):
            server.answers[method] = model_servers.fail_times(99, grpc.StatusCode.UNAVAILABLE, None)
        with pytest.raises(ServingError) as caught:
            client.status("taxi")
        with pytest.raises(ServingError):
            client.predict("taxi", {"miles": [1.0]})

        assert caught.value.code == "UNAVAILABLE"
        assert server.calls("GetModelStatus") == 4
        assert 1 <= server.calls("GetModelMetadata") <= 4
