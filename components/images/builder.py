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
    return {name: image.partition("@")[0] for name, image in (("data", images.DATA), ("model", images.MODEL))}


def find_program() -> list[str]:
    """Return the command that builds: the one in TIFFIN_BUILDER, docker where its engine answers, else buildah.

    Raises:
        TiffinError: There is neither.
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
        "Building images needs Docker's engine or buildah. Received: neither answers. Start one, install buildah, or run "
        "`make test-images`, which brings an engine of its own."
    )


def docker_clients() -> list[str]:
    """Return the clients of Docker that are here.

    Debian's comes first: it builds with BuildKit as it is, where another one on the PATH may ask for a plug-in.
    """
    found = ("/usr/bin/docker", shutil.which("docker"))
    return [client for client in dict.fromkeys(found) if client and Path(client).exists()]


def build(program: Sequence[str], root: Path, environment: str, base: str = BASE, digest: str = "") -> str:
    """Build the image of an environment and return its name.

    Args:
        program: From `find_program`.
        root: The checkout.
        environment: `data` or `model`.
        base: Image to start from.
        digest: Of the base, `sha256:…`; empty for what its tag says.

    Raises:
        InputError: There is no Dockerfile in the checkout.
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
    """Push an image and return the digest that the registry keeps it under.

    Raises:
        TiffinError: The registry did not take it.
    """
    with tempfile.TemporaryDirectory() as folder:
        if not is_docker(program):
            file = Path(folder, "digest")
            # It is pushed once and pulled often: buildah's own level leaves 50 MB more of these images than Docker's.
            compression = ("--compression-format=gzip", "--compression-level=9")
            _run([*program, "push", *compression, "--digestfile", str(file), name])
            return file.read_text().strip()
        _run([*program, "push", "--quiet", name])
    return find_digest(program, name, {})


def find_digest(program: Sequence[str], name: str, pushed: Mapping[str, str]) -> str:
    """Return the digest under which a registry keeps an image that was pushed or pulled.

    Args:
        program: From `find_program`.
        name: Of the image.
        pushed: Name -> digest of what was pushed; buildah, unlike docker, keeps no record of it.

    Raises:
        TiffinError: It was neither.
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
        f"The image '{name}' should be in a registry, which gives it its digest. Received: {said or references}. "
        "Run `make images-push` with TIFFIN_IMAGE_PREFIX set to a place in your registry."
    )


def write_digests(program: Sequence[str], file: Path) -> dict[str, str]:
    """Write the digests file: name of each image -> digest. Specs compiled with TIFFIN_IMAGE_DIGESTS=FILE are pinned.

    Args:
        program: From `find_program`.
        file: To write. `pushed.json` beside it is what `make images-push` has pushed.

    Raises:
        InputError: `pushed.json` is damaged.
        TiffinError: An image is in no registry.
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
    """Copy the bill of materials out of an image that was built."""
    if is_docker(program):
        write_bytes(file, _output([*program, "run", "--rm", "--network=none", name, "cat", SBOM]))
        return
    container = _output([*program, "from", name]).decode().strip()
    try:
        # Not `buildah mount`, which a user other than root may use in `buildah unshare` only.
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
        raise TiffinError(f"`{' '.join(command[:2])}` failed; what it said is above. {_hint(command)}")


def _hint(command: list[str]) -> str:
    if command[1] == "push":
        return "Log in to the registry, and set TIFFIN_IMAGE_PREFIX to a place in it that you may write to."
    return (
        "Check that the base image and the packages can be reached: pip's own settings and certificates are honoured."
    )


def _git(root: Path, *arguments: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _revision(root: Path) -> str:
    revision = _git(root, "rev-parse", "HEAD")
    # An image of changes that nobody has committed should say so.
    return f"{revision}-dirty" if revision and _git(root, "status", "--porcelain") else revision


def _source(root: Path) -> str:
    address = os.environ.get("TIFFIN_SOURCE") or _git(root, "config", "--get", "remote.origin.url")
    # Neither a password nor somebody's folder belongs in a label.
    address = re.sub(r"//[^/@]*@", "//", address)
    return address if "://" in address or re.match(r"\w+@[\w.-]+:", address) else ""
