"""Fixtures of the commands' tests."""

from collections.abc import Iterator

import pytest

from support import kfp_backend


@pytest.fixture(scope="session")
def _backend_process() -> Iterator[kfp_backend.Server]:
    with kfp_backend.serve() as server:
        yield server


@pytest.fixture
def backend(_backend_process: kfp_backend.Server) -> Iterator[kfp_backend.Server]:
    """An empty Kubeflow Pipelines backend."""
    _backend_process.reset()
    yield _backend_process
    assert _backend_process.state()["complaints"] == []
