"""Fixtures of all tests."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.environments import run_here


def clear_settings(remove: Callable[[str], None]) -> None:
    """Keep the developer's settings out: of what Tiffin or its tools read from the environment, nothing stays."""
    for name in list(os.environ):
        # TIFFIN_ENGINE_ROOT is the tests' own: where the engine that they start keeps its data.
        if re.match(r"(TIFFIN|MLFLOW|KF|KFP|_KFP|GOOGLE|AWS|MINIO)_", name) and name != "TIFFIN_ENGINE_ROOT":
            remove(name)


# Now, before a test imports Tiffin, which names its images by TIFFIN_IMAGE_PREFIX on import. Fixtures that live longer
# than one test start processes in this environment, too.
clear_settings(os.environ.__delitem__)

# A shell has what it starts in the background ignore Ctrl-C, and so would every process of the tests.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="Write the goldens of the interfaces anew.")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave the tests of other environments out, and do not enter a folder that holds no others."""
    return None if run_here(collection_path) else True


@pytest.fixture
def update_goldens(request: pytest.FixtureRequest) -> bool:
    """Whether the goldens are to be written instead of compared with."""
    return bool(request.config.getoption("--update-goldens"))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test without settings, whatever was set since the session began."""
    clear_settings(monkeypatch.delenv)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Trained models for the tests of train and of what comes after it; they need the environment `model`."""
    from support import trained

    return trained.Models(tmp_path_factory.mktemp("models"))
