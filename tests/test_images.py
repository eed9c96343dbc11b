import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiffin import __version__

PROGRAM = "from tiffin import images; print(images.DATA, images.MODEL, images.GATEWAY)"
DIGESTS = {
    f"registry.example/t/{name}:{__version__}": f"sha256:{name[0] * 64}" for name in ("data", "model", "gateway")
}


def names(**variables: str) -> subprocess.CompletedProcess[str]:

    return subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env={**os.environ, **variables}
    )


@pytest.mark.parametrize("variables", [{}, {"TIFFIN_IMAGE_PREFIX": ""}])
def test_tags_are_the_packages_version(variables: dict[str, str]) -> None:
    assert names(**variables).stdout.split() == [
        f"tiffin/{name}:{__version__}" for name in ("data", "model", "gateway")
    ]


def test_a_digests_file_pins_the_names(tmp_path: Path) -> None:
    file = tmp_path / "digests.json"
    file.write_text(json.dumps(DIGESTS))

    done = names(TIFFIN_IMAGE_PREFIX="registry.example/t", TIFFIN_IMAGE_DIGESTS=str(file))

    assert done.stdout.split() == [f"{name}@{digest}" for name, digest in DIGESTS.items()]


@pytest.mark.parametrize("content", [None, "", "[]", json.dumps(DIGESTS)])
def test_a_digests_file_without_the_images(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "digests.json"
    if content is not None:
        file.write_text(content)

    done = names(TIFFIN_IMAGE_DIGESTS=str(file))

    assert done.returncode
    for value in ("TIFFIN_IMAGE_DIGESTS", f"'tiffin/data:{__version__}'", f"'{file}'", "make images-digest"):
        assert value in done.stderr
