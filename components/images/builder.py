"""Builds, pushes and weighs the images, with docker or buildah."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from images.settings import write_settings
from tiffin import images
from tiffin.errors import InputError, TiffinError
from tiffin.storage.files import write_bytes, write_json
from tiffin.version import __version__

BASE = "python:3.13-slim-trixie"
SBOM = "/opt/tiffin/sbom.cdx.json"


def image_names() -> dict[str, str]:
    """Return environment -> name of its image, without a digest."""
    return {name: image.partition("@")[0] for name, image in images.NAMES.items()}


def find_program() -> list[str]:
    """Return the command that builds: TIFFIN_BUILDER if set, docker if its engine responds, else buildah.

    Raises:
        TiffinError: Neither is available.
    """
    chosen = os.environ.get("TIFFIN_BUILDER")
    if chosen:
        return [chosen]
    for docker in docker_clients():
        if _answers([docker, "version", "--format", "{{.Server.Version}}"]):
            return [docker]
    buildah = shutil.which("buildah")
    if buildah:
        return [buildah]
    raise TiffinError(
        "Building images needs Docker's engine or buildah. Received: neither is available. Start Docker, install buildah, or run "
        "`make test-images`, which starts its own engine."
    )


def docker_clients() -> list[str]:
    """Return the installed Docker clients.

    Debian's comes first: it has BuildKit built in; another client on the PATH may need a plug-in.
    """
    found = ("/usr/bin/docker", shutil.which("docker"))
    return [client for client in dict.fromkeys(found) if client and Path(client).exists()]


def build(program: Sequence[str], root: Path, environment: str, base: str = BASE, digest: str = "") -> str:
    """Build the image of an environment and return its name.

    Args:
        program: From `find_program`.
        root: The checkout.
        environment: `data`, `model` or `gateway`.
        base: Image to start from.
        digest: Digest of the base, `sha256:…`; empty to use its tag.

    Raises:
        InputError: The folder is not a checkout: the Dockerfile or locks/ is missing.
        TiffinError: The build failed.
    """
    file = root / "components" / "images" / "Dockerfile"
    if not file.is_file() or not (root / "locks").is_dir():
        raise InputError(
            f"Images are built in a checkout of Tiffin. Received: '{root}', without {file.name} or locks/."
        )
    name = image_names()[environment]
    settings = {
        "ENVIRONMENT": environment, "BASE": base, "DIGEST": digest,
        "VERSION": __version__, "REVISION": _revision(root), "SOURCE": _source(root),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        command = [*program, "build", "--file", str(file), "--tag", name, *write_settings(Path(folder), root)]
        for key, value in settings.items():
            command += ["--build-arg", f"{key}={value}"]
        if is_docker(program):
            command += ["--progress", "plain"]
        _run([*command, str(root)])
    return name


def push(program: Sequence[str], name: str) -> str:
    """Push an image and return its digest in the registry.

    Raises:
        TiffinError: The push failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not is_docker(program):
            file = Path(folder, "digest")
            # An image is pushed once and pulled often: at buildah's default level these images are 50 MB larger.
            compression = ("--compression-format=gzip", "--compression-level=9")
            _run([*program, "push", *compression, "--digestfile", str(file), name])
            return file.read_text().strip()
        _run([*program, "push", "--quiet", name])
    return find_digest(program, name, {})


def find_digest(program: Sequence[str], name: str, pushed: Mapping[str, str]) -> str:
    """Return the digest of an image that was pushed or pulled.

    Args:
        program: From `find_program`.
        name: Name of the image.
        pushed: Name -> digest of the pushed images; buildah, unlike docker, does not record them.

    Raises:
        TiffinError: It was neither pushed nor pulled.
    """
    if not is_docker(program):
        references, said = [f"@{pushed[name]}"] if name in pushed else [], ""
    else:
        command = [*program, "inspect", "--format", "{{json .RepoDigests}}", name]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        references, said = (
            json.loads(answer.stdout or "null") or [] if answer.returncode == 0 else [],
            answer.stderr.strip(),
        )
    for reference in references:
        place, _, digest = reference.rpartition("@")
        if place in (name.rpartition(":")[0], "") and re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
            return str(digest)
    raise TiffinError(
        f"The image '{name}' has no digest, because it was not pushed to a registry. Received: {said or references}. "
        "Run `make images-push` with TIFFIN_IMAGE_PREFIX set to a repository of your registry."
    )


def write_digests(program: Sequence[str], file: Path) -> dict[str, str]:
    """Write the name and digest of each image to a file. `TIFFIN_IMAGE_DIGESTS=FILE` pins specs to them.

    Args:
        program: From `find_program`.
        file: File to write. `make images-push` writes `pushed.json` beside it.

    Raises:
        InputError: `pushed.json` is damaged.
        TiffinError: An image was not pushed.
    """
    record = file.with_name("pushed.json")
    try:
        pushed = json.loads(record.read_text()) if record.exists() else {}
    except ValueError as error:
        raise InputError(f"'{record}' should be JSON ({error}). Run `make images-push` again.") from None
    digests = {name: find_digest(program, name, pushed) for name in image_names().values()}
    write_json(file, digests)
    return digests


def copy_materials(program: Sequence[str], name: str, file: Path) -> None:
    """Copy the bill of materials out of an image."""
    if is_docker(program):
        write_bytes(file, _output([*program, "run", "--rm", "--network=none", name, "cat", SBOM]))
        return
    container = _output([*program, "from", name]).decode().strip()
    try:
        # Not `buildah mount`: without root it works in `buildah unshare` only.
        write_bytes(file, _output([*program, "run", container, "--", "cat", SBOM]))
    finally:
        _output([*program, "rm", container])


def is_docker(program: Sequence[str]) -> bool:
    """Return whether a program is Docker's client rather than buildah."""
    return "buildah" not in Path(program[0]).name


def _answers(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _output(command: list[str]) -> bytes:
    return subprocess.run(command, capture_output=True, check=True).stdout


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    if subprocess.run(command, env=environment, check=False).returncode != 0:
        raise TiffinError(f"`{' '.join(command[:2])}` failed, see the output above. {_hint(command)}")


def _hint(command: list[str]) -> str:
    if command[1] == "push":
        return "Log in to the registry, and set TIFFIN_IMAGE_PREFIX to a repository that you can write to."
    return "Check access to the base image and to the packages; the build uses pip's settings and certificates."


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _revision(root: Path) -> str:
    revision = _git(root, "rev-parse", "HEAD")
    # Mark an image with uncommitted changes.
    return f"{revision}-dirty" if revision and _git(root, "status", "--porcelain") else revision


def _source(root: Path) -> str:
    address = os.environ.get("TIFFIN_SOURCE") or _git(root, "config", "--get", "remote.origin.url")
    # Keep passwords and local folders out of the label.
    address = re.sub(r"//[^/@]*@", "//", address)
    return address if "://" in address or re.match(r"\w+@[\w.-]+:", address) else ""
