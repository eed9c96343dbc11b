"""The digests that pin the images of others, in the kustomizations and in GitLab's CI file.

A tag can be moved to another image; a digest cannot. Tiffin's own images are pinned by `digests.json`, in your overlay.
"""

import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiffin.errors import TiffinError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# An entry of `images:` in a kustomization: its name, and the lines below that.
_ENTRY = re.compile(r"(?m)^  - name: (\S+)\n((?:    (?:newName|newTag|digest): .*\n)+)")
_CI = re.compile(r"(?m)^( *image: )([^\s@:]+):([^\s@]+)(?:@(\S+))?$")
_OWN = "tiffin/"


@dataclass(frozen=True)
class Image:
    """An image that a file names.

    Attributes:
        path: The file.
        name: Name with the tag, such as `postgres:17.6`.
        digest: Its digest, `sha256:...`; empty if it is not pinned.
    """

    path: Path
    name: str
    digest: str


def find_images(root: Path) -> Iterator[Image]:
    """Yield the images of others that the manifests and GitLab's CI file name.

    Args:
        root: The checkout.
    """
    for path in sorted((root / "manifests").rglob("kustomization.yaml")):
        for match in _ENTRY.finditer(path.read_text()):
            fields = _read_entry(match)
            if not fields["newName"].startswith(_OWN):
                yield Image(path, f"{fields['newName']}:{fields['newTag']}", fields["digest"])
    path = root / ".gitlab-ci.yml"
    for match in _CI.finditer(path.read_text()):
        yield Image(path, f"{match[2]}:{match[3]}", match[4] or "")


def check_pins(root: Path) -> list[str]:
    """Return a line for each image that is pinned.

    Raises:
        TiffinError: An image is not pinned.
    """
    found = list(find_images(root))
    unpinned = [
        f"{image.name} in {image.path.relative_to(root)}" for image in found if not _DIGEST.fullmatch(image.digest)
    ]
    if unpinned:
        raise TiffinError(
            f"A release needs every image pinned by its digest. Received without one: {', '.join(unpinned)}. Run "
            "`make pin-images` where the registry can be reached, review the diff, and commit it."
        )
    return [f"{image.name}@{image.digest}" for image in found]


def pin_images(root: Path, resolve: Callable[[str], str]) -> list[str]:
    """Write the current digest of every image next to its tag, and return a line for each.

    Args:
        root: The checkout.
        resolve: Function that returns the digest of a name with a tag.

    Raises:
        TiffinError: A digest could not be resolved. No file is changed.
    """
    found = list(find_images(root))
    digests = {name: resolve(name) for name in dict.fromkeys(image.name for image in found)}

    def entry(match: re.Match[str]) -> str:
        fields = _read_entry(match)
        if fields["newName"].startswith(_OWN):
            return match[0]
        lines = [line for line in match[0].splitlines() if not line.startswith("    digest: ")]
        return "\n".join([*lines, f"    digest: {digests[fields['newName'] + ':' + fields['newTag']]}", ""])

    def line(match: re.Match[str]) -> str:
        name = f"{match[2]}:{match[3]}"
        return f"{match[1]}{name}@{digests[name]}"

    for path in dict.fromkeys(image.path for image in found):
        text = path.read_text()
        path.write_text(_ENTRY.sub(entry, text) if path.name == "kustomization.yaml" else _CI.sub(line, text))
    return [f"{name}@{digest}" for name, digest in digests.items()]


def resolve_digest(program: Sequence[str], name: str) -> str:
    """Return the digest that a registry has for a name with a tag; of all platforms, if the image has several.

    Args:
        program: Docker's client, with buildx.
        name: Name with a tag.

    Raises:
        TiffinError: The registry did not return it.
    """
    command = [*program, "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        digest, reason = done.stdout.strip(), done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        digest, reason = "", str(error)
    if not _DIGEST.fullmatch(digest):
        raise TiffinError(
            f"Could not resolve the digest of '{name}': {reason[-300:] or digest or 'no output'}. Check that Docker has "
            "buildx and that the registry can be reached."
        )
    return digest


def _read_entry(match: re.Match[str]) -> dict[str, str]:
    fields = {"newName": match[1], "newTag": "", "digest": ""}
    for line in match[2].splitlines():
        key, _, value = line.strip().partition(": ")
        fields[key] = value.strip().strip('"')
    return fields
