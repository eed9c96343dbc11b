"""Base, lock and user in the Dockerfile."""

import re
from pathlib import Path

from tiffin.images import USER

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "components" / "images"


def test_dockerfile_installs_the_lock_and_has_no_urls() -> None:
    text = (FOLDER / "Dockerfile").read_text()

    assert "ARG BASE=python:3.13-slim-trixie\n" in text
    assert len(re.findall(r"^FROM \$\{BASE\}\$\{DIGEST:\+@\$\{DIGEST\}\}", text, re.MULTILINE)) == 2
    assert "COPY locks/${ENVIRONMENT}.txt" in text
    assert text.count("--require-hashes") == 2
    assert f"USER {USER}:{USER}\n" in text
    assert "://" not in text
