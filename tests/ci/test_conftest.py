"""The tests themselves: what a developer or a CI server has set decides none of them."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
# They fail where the images have another name, and where there is a backend to publish to.
SENSITIVE = (
    "tests/docs/test_generation.py::test_the_index_names_every_component_with_its_image",
    "tests/commands/test_publish.py::test_no_host_at_all_is_explained",
)


def test_settings_of_the_environment_are_kept_out() -> None:
    settings = {"TIFFIN_IMAGE_PREFIX": "registry.example/team", "KF_PIPELINES_ENDPOINT": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SENSITIVE],
        cwd=ROOT,
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
