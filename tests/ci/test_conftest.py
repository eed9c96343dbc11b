"""The tests do not depend on environment variables of a developer or a CI server."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Tests that fail if the images have another name, or if a backend is configured.
SENSITIVE = (
    "tests/docs/test_generation.py::test_the_index_names_every_component_with_its_image",
    "tests/commands/test_publish.py::test_without_a_host_the_error_names_the_option",
)


def test_environment_variables_do_not_affect_the_tests() -> None:
    settings = {"TIFFIN_IMAGE_PREFIX": "registry.example/team", "KF_PIPELINES_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SENSITIVE],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
