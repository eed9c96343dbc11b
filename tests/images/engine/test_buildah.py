"""Build, push and pin a small image with buildah."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from images import builder
from support.containers import environment_of_a_run
from support.docker_engine import install_packages
from tiffin import __version__

ROOT = Path(__file__).parents[3]
DOCKERFILE = """
ARG BASE=python:3.13-slim-trixie
FROM ${BASE}
# The build runs only cat, which prints the bill of materials.
COPY busybox /bin/cat
COPY bill.json /opt/tiffin/sbom.cdx.json
RUN --mount=type=secret,id=pip,target=/etc/pip.conf ["/bin/cat", "/etc/pip.conf"]
USER 10001:10001
ARG VERSION=0
ARG REVISION=
LABEL org.opencontainers.image.version="${VERSION}"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    install_packages({"buildah": "buildah", "busybox": "busybox-static"})
    root = tmp_path_factory.mktemp("checkout")
    (root / "locks").mkdir()
    # The build reads the settings of the pip in set-up's virtualenv.
    (root / ".venvs").symlink_to(ROOT / ".venvs")
    (root / "components" / "images").mkdir(parents=True)
    (root / "components" / "images" / "Dockerfile").write_text(DOCKERFILE)
    shutil.copy(shutil.which("busybox") or "", root / "busybox")
    (root / "bill.json").write_text('{"bomFormat": "CycloneDX"}')
    return root


def test_buildah_builds_pushes_and_pins(checkout: Path, registry: str, tmp_path: Path) -> None:
    # The registry has no TLS.
    (tmp_path / "registries.conf").write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    # A temporary image store.
    (tmp_path / "storage.conf").write_text(
        f'[storage]\ndriver = "vfs"\ngraphroot = "{tmp_path}/store"\nrunroot = "{tmp_path}/run"\n'
    )
    settings = environment_of_a_run(
        TIFFIN_BUILDER="buildah",
        TIFFIN_IMAGE_PREFIX=f"{registry}/buildah",
        BASE="scratch",
        CONTAINERS_REGISTRIES_CONF=str(tmp_path / "registries.conf"),
        CONTAINERS_STORAGE_CONF=str(tmp_path / "storage.conf"),
    )
    for action in ("build", "push", "digests"):
        subprocess.run([sys.executable, "-m", "images", action], cwd=checkout, env=settings, check=True)

    output = checkout / "build" / "images"
    for environment in ("data", "gateway", "model"):
        assert json.loads((output / f"{environment}.cdx.json").read_text()) == {"bomFormat": "CycloneDX"}
    digests = json.loads((output / "digests.json").read_text())
    assert list(digests) == [f"{registry}/buildah/{name}:{__version__}" for name in ("data", "gateway", "model")]
    for name, digest in digests.items():
        about = json.loads(
            subprocess.run(
                ["buildah", "inspect", "--type", "image", name], env=settings, capture_output=True, check=True
            ).stdout
        )
        assert about["OCIv1"]["config"]["User"] == "10001:10001"
        assert about["OCIv1"]["config"]["Labels"]["org.opencontainers.image.version"] == __version__
        assert builder.find_digest(["buildah"], name, digests) == digest
