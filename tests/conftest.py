"""Fixtures of all tests."""

import os
import re
import signal
from typing import Any

import pytest

# A shell has what it starts in the background ignore Ctrl-C, and so would every process of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="Write the goldens of the interfaces anew.")


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether the goldens are to be written instead of compared with."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's settings out: nothing that Tiffin or its tools read from the environment is set."""
    for name in list(os.environ):
        if re.match(r"(TIFFIN|MLFLOW|KFP|_KFP|GOOGLE|AWS)_", name):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained models for the tests of train and of what comes after it; they need the environment `model`."""
    import trained

    return trained.Models(tmp_path_factory.mktemp("models"))
