"""The base image, or a stand-in with Debian's Python if no registry can be reached."""

import os
import subprocess
import tempfile
from pathlib import Path

from images.builder import BASE
from support.docker_engine import find_client
from tiffin.errors import TiffinError

_PULL_SECONDS = 180


def ensure_base(name: str = BASE) -> bool:
    """Pull the base image if the engine does not have it; if that fails, make a stand-in of the same name.

    Returns:
        Whether the image is a stand-in.

    Raises:
        TiffinError: The stand-in could not be made.
    """
    client = find_client()
    label = _output([client, "image", "inspect", "--format", '{{index .Config.Labels "tiffin.stand-in"}}', name])
    if label is not None:
        return label == "true"
    if _output([client, "pull", "--quiet", name], _PULL_SECONDS) is not None:
        return False
    make_stand_in(name)
    return True


def make_stand_in(name: str) -> None:
    """Make an image from Debian trixie with python3 and pip.

    Raises:
        TiffinError: Debian's packages cannot be reached, or the user is not root.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "base.tar")
        made = subprocess.run(
            [
                # Keep its mounts and unmounts from this machine's /dev.
                "unshare", "--mount", "--propagation=private",
                "mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,python3-pip,ca-certificates,usr-is-merged",
                # Merging /usr by package would install all of Perl.
                "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
                # Excluded in the official image too.
                "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/man/*",
                "--dpkgopt=path-exclude=/usr/share/locale/*", "trixie", str(archive),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "TMPDIR": folder},
        )  # fmt: skip
        if made.returncode != 0:
            raise TiffinError(
                f"Could not pull '{name}', nor make a stand-in: {made.stderr.strip()[-300:]}. "
                "Load the image with `docker load`, or allow access to a registry or to Debian's packages."
            )
        labels = ["--change", "LABEL tiffin.stand-in=true", "--change", 'CMD ["python3"]']
        subprocess.run([find_client(), "import", *labels, str(archive), name], capture_output=True, check=True)


def _output(command: list[str], timeout: float | None = None) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
