"""Names of the container images; their tag is the package's version."""

import json
import os
import re
from pathlib import Path

from tiffin.errors import InputError
from tiffin.version import __version__

# Images of this prefix are built on a machine and pushed nowhere.
_LOCAL_PREFIX = "tiffin"
# Teams that build their own images set this to their registry.
_PREFIX = os.environ.get("TIFFIN_IMAGE_PREFIX") or _LOCAL_PREFIX


def _name(environment: str) -> str:
    name = f"{_PREFIX}/{environment}:{__version__}"
    # Released specs pin images by digest; `make images-digest` writes this file after a push.
    file = os.environ.get("TIFFIN_IMAGE_DIGESTS")
    if not file:
        return name
    try:
        digest = json.loads(Path(file).read_bytes())[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"TIFFIN_IMAGE_DIGESTS should be the path of a file with the digest of '{name}'. Received: '{file}' "
            f"({type(error).__name__}: {error}). Push the images, then run `make images-digest`."
        ) from None
    return f"{name}@{digest}"


# Environment to image. The last part of an image's name is the environment (extra and lock file) that it is built from.
NAMES = {environment: _name(environment) for environment in ("data", "model", "gateway")}
DATA, MODEL, GATEWAY = NAMES.values()
# Those that steps run in.
ENVIRONMENTS = ("data", "model")

# uid and gid that the images run as. A cluster may set others: no file in the images belongs to this user.
USER = 10001


def environment(image: str) -> str:
    """Return the environment that `image` is built from: `data` or `model`.

    Raises:
        InputError: The image is not a Tiffin image.
    """
    match = re.search(r"([^/:@]+)(:[^/@]+)?(@[^/]+)?$", image)
    name = match.group(1) if match else ""
    if name not in ENVIRONMENTS:
        raise InputError(
            f"A step's image should be a Tiffin image ({' or '.join(ENVIRONMENTS)}) to run without Docker. "
            f"Received: image='{image}'. Run this spec on a cluster, or locally with --docker."
        )
    return name


def is_local(image: str) -> bool:
    """Return whether an image has the default prefix or Podman's `localhost/`: it is in no registry."""
    names = "|".join(ENVIRONMENTS)
    return re.match(rf"localhost/|(docker\.io/)?{_LOCAL_PREFIX}/({names})([:@]|$)", image) is not None
