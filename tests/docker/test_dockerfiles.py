"""The two Dockerfiles say what the images promise, and differ only in what has to differ."""

import difflib
import re
from pathlib import Path

import pytest

from tiffin.images import USER

FOLDER = Path(__file__).parents[2] / "components" / "tiffin" / "docker"


@pytest.mark.parametrize("name", ["data", "model"])
def test_a_dockerfile_installs_from_the_lock_and_names_no_place(name: str) -> None:
    text = (FOLDER / f"{name}.Dockerfile").read_text()

    assert "ARG BASE=python:3.11-slim-bookworm\n" in text
    assert len(re.findall(r"^FROM \$\{BASE\}\$\{DIGEST:\+@\$\{DIGEST\}\}", text, re.MULTILINE)) == 2
    assert f"COPY locks/{name}.txt" in text
    assert text.count("--require-hashes") == 2
    assert f"USER {USER}:{USER}\n" in text
    assert "://" not in text


def test_the_two_differ_in_their_names_and_in_what_one_compiles() -> None:
    texts = [
        (FOLDER / f"{name}.Dockerfile").read_text().replace(name, "NAME").splitlines() for name in ("data", "model")
    ]
    changed = [line for line in difflib.ndiff(*texts) if line[0] in "+-" and line[2:] not in texts[0]]

    assert all("apt-get" in line or line[2:].startswith("# The image") or "description=" in line for line in changed)
