"""Fixtures and settings for all tests."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.environments import run_here


def clear_settings(remove: Callable[[str], None]) -> None:
    """Remove all environment variables that Tiffin or its tools read, so that the developer's settings have no effect."""
    for name in list(os.environ):
        # TIFFIN_ENGINE_ROOT is the data folder of the engine that tests start.
        if re.match(r"(TIFFIN|MLFLOW|KF|KFP|_KFP|GOOGLE|AWS|MINIO|SENTRY)_", name) and name != "TIFFIN_ENGINE_ROOT":
            remove(name)


# Before a test imports Tiffin, which reads TIFFIN_IMAGE_PREFIX on import. Processes of session and module fixtures use this
# environment too.
clear_settings(os.environ.__delitem__)

# Shells start background jobs with SIGINT ignored, which all processes of the tests would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="Update the golden files of the interfaces.")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Ignore test files of other environments, and folders that contain no others."""
    return None if run_here(collection_path) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests of the stages first: a worker that gets one of these long files at the end would work alone."""
    items.sort(key=lambda item: "stages" not in item.path.parts)


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether to write the golden files instead of comparing with them."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings before every test."""
    clear_settings(monkeypatch.delenv)


@pytest.fixture(scope="session")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Forks model servers from a process with TensorFlow imported; requires the environment `model`."""
    from support import server_process

    with server_process.nursery(tmp_path_factory.mktemp("nursery")) as order:
        yield order


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained models for the tests of train and later stages; require the environment `model`."""
    from support import trained

    return trained.Models(tmp_path_factory.mktemp("models"))
