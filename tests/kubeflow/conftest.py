"""A backend on a real socket, empty at the start of each test."""

from collections.abc import Iterator

import pytest

from support import kfp_backend
from tiffin.kubeflow.connection import Backend, connect


@pytest.fixture(scope="module")
def _process() -> Iterator[kfp_backend.Server]:
    with kfp_backend.serve() as server:
        yield server


@pytest.fixture
def server(_process: kfp_backend.Server) -> kfp_backend.Server:
    """An empty backend."""
    _process.reset()
    return _process


@pytest.fixture
def backend(server: kfp_backend.Server) -> Backend:
    """A connection to it."""
    return connect(server.address)
