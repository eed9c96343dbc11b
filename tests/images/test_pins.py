"""The check of a release, and the command that pins images."""

import shutil
from pathlib import Path

import pytest

from images.pins import check_pins, find_images, pin_images, resolve_digest
from tiffin.errors import TiffinError

ROOT = Path(__file__).parents[2]
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
KUSTOMIZATION = """\
resources:
  - a.yaml
# Named only here.
images:
  - name: server
    newName: vendor/server
    newTag: 2.1.0
  - name: tiffin-model
    newName: tiffin/model
    newTag: 0.1.0
  - name: database
    newName: database
    newTag: "17.6"
    digest: {digest}
patches: []
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout in which one image is pinned, and two are not."""
    folder = tmp_path / "manifests" / "base"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text(KUSTOMIZATION.format(digest=ONE))
    (tmp_path / ".gitlab-ci.yml").write_text("default:\n  image: python:3.13\njob:\n  script: [make images]\n")
    return tmp_path


def test_the_images_of_others_are_found(checkout: Path) -> None:
    assert [(image.name, image.digest) for image in find_images(checkout)] == [
        ("vendor/server:2.1.0", ""),
        ("database:17.6", ONE),
        ("python:3.13", ""),
    ]


def test_a_release_with_an_image_that_is_not_pinned_fails(checkout: Path) -> None:
    with pytest.raises(TiffinError, match="`make pin-images`") as caught:
        check_pins(checkout)

    for part in ("vendor/server:2.1.0 in manifests/base/kustomization.yaml", "python:3.13 in .gitlab-ci.yml"):
        assert part in str(caught.value)
    assert "database" not in str(caught.value)


@pytest.mark.parametrize("digest", ["sha256:abc", "latest", f"sha512:{'1' * 64}"])
def test_another_text_is_no_digest(checkout: Path, digest: str) -> None:
    (checkout / "manifests" / "base" / "kustomization.yaml").write_text(KUSTOMIZATION.format(digest=digest))

    with pytest.raises(TiffinError, match=r"database:17\.6"):
        check_pins(checkout)


def test_pinned_images_pass(checkout: Path) -> None:
    digests = {"vendor/server:2.1.0": ONE, "database:17.6": TWO, "python:3.13": ONE}

    lines = pin_images(checkout, digests.__getitem__)

    assert lines == check_pins(checkout) == [f"{name}@{digest}" for name, digest in digests.items()]
    text = (checkout / "manifests" / "base" / "kustomization.yaml").read_text()
    expected = KUSTOMIZATION.format(digest=TWO).replace("newTag: 2.1.0\n", f"newTag: 2.1.0\n    digest: {ONE}\n")
    assert text == expected
    assert f"  image: python:3.13@{ONE}\n" in (checkout / ".gitlab-ci.yml").read_text()
    pin_images(checkout, digests.__getitem__)
    assert (checkout / "manifests" / "base" / "kustomization.yaml").read_text() == expected


def test_a_digest_that_cannot_be_resolved_changes_nothing(checkout: Path) -> None:
    before = {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()}

    def resolve(name: str) -> str:
        if name == "python:3.13":
            raise TiffinError(name)
        return ONE

    with pytest.raises(TiffinError, match=r"python:3\.13"):
        pin_images(checkout, resolve)
    assert {path: path.read_bytes() for path in checkout.rglob("*") if path.is_file()} == before


def test_every_file_of_this_checkout_can_be_pinned(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "manifests", tmp_path / "manifests")
    shutil.copy(ROOT / ".gitlab-ci.yml", tmp_path)
    names = [image.name for image in find_images(tmp_path)]

    pin_images(tmp_path, lambda name: f"sha256:{names.index(name):064d}")

    assert check_pins(tmp_path) == [f"{name}@sha256:{index:064d}" for index, name in enumerate(names)]


def client(folder: Path, script: str) -> list[str]:
    """Return a command that answers as Docker's client does."""
    path = folder / "docker"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


def test_a_digest_is_resolved_by_buildx(tmp_path: Path) -> None:
    program = client(tmp_path, f'echo "$@" >"{tmp_path}/arguments"; echo {ONE}')

    assert resolve_digest(program, "vendor/server:2.1.0") == ONE
    assert (tmp_path / "arguments").read_text().startswith("buildx imagetools inspect --format ")


@pytest.mark.parametrize(
    ("script", "reason"), [("echo refused >&2; exit 1", "refused"), ("echo latest", "latest"), ("exit 0", "output")]
)
def test_a_registry_that_does_not_answer_is_reported(tmp_path: Path, script: str, reason: str) -> None:
    with pytest.raises(TiffinError, match=f"'vendor/server:2.1.0'.*{reason}"):
        resolve_digest(client(tmp_path, script), "vendor/server:2.1.0")


def test_a_missing_client_is_reported(tmp_path: Path) -> None:
    with pytest.raises(TiffinError, match=r"'vendor/server:2\.1\.0'.*docker"):
        resolve_digest([str(tmp_path / "docker")], "vendor/server:2.1.0")
