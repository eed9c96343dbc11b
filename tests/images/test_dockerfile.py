"""The Dockerfile says what the images promise."""

import re
from pathlib import Path

import pytest

from tiffin.images import ENVIRONMENTS, USER

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "components" / "images"


def test_it_installs_from_the_lock_and_names_no_place() -> None:
    text = (FOLDER / "Dockerfile").read_text()

    assert "ARG BASE=python:3.11-slim-bookworm\n" in text
    assert len(re.findall(r"^FROM \$\{BASE\}\$\{DIGEST:\+@\$\{DIGEST\}\}", text, re.MULTILINE)) == 2
    assert "COPY locks/${ENVIRONMENT}.txt" in text
    assert text.count("--require-hashes") == 2
    assert f"USER {USER}:{USER}\n" in text
    assert "://" not in text


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_is_removed_is_in_the_lock(environment: str) -> None:
    unused = re.findall(r"^[\w-]+", (FOLDER / f"unused-{environment}.txt").read_text(), re.MULTILINE)
    locked = re.findall(r"^([\w-]+)==", (ROOT / "locks" / f"{environment}.txt").read_text(), re.MULTILINE)

    assert unused
    assert set(unused) <= set(locked)
