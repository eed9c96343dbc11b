"""Programs of Debian packages, without installing them: unpacked once into a cache of the checkout.

apt-get verifies what it downloads. Nothing requires root, and nothing of the machine changes.
"""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# .venvs/ is not in git, and `make clean` keeps it.
CACHE = Path(__file__).parents[2] / ".venvs" / "debian"
PACKAGES = {
    "amtool": "prometheus-alertmanager",
    "prometheus": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "prometheus-pushgateway": "prometheus-pushgateway",
    "promtool": "prometheus",
}


def program(name: str) -> Path:
    """Return a program: that on PATH, else that of its Debian package, which is downloaded once per checkout.

    Args:
        name: One of `PACKAGES`.

    Raises:
        RuntimeError: It is not on PATH and there is no apt-get or dpkg, or the download failed.
    """
    if found := shutil.which(name):
        return Path(found)
    package = PACKAGES[name]
    CACHE.mkdir(parents=True, exist_ok=True)
    place = CACHE / package
    with (CACHE / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.is_dir():
            if not (shutil.which("apt-get") and shutil.which("dpkg")):
                raise RuntimeError(
                    f"'{name}' is not on PATH, and this machine has no apt-get and dpkg to fetch it with. Install {name}, for "
                    f"example from https://prometheus.io/download."
                )
            _unpack(package, place)
    return place / "usr" / "bin" / name


def _unpack(package: str, place: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=f".{package}-") as folder:
        _download(package, Path(folder))
        (archive,) = Path(folder).glob("*.deb")
        unpacked = Path(folder) / "unpacked"
        subprocess.run(["dpkg", "-x", archive, unpacked], check=True, capture_output=True)
        unpacked.rename(place)


def _download(package: str, folder: Path) -> None:
    """Download a package by the machine's lists of packages, else by lists of our own, which need no root."""
    for sub in ("lists/partial", "cache/archives/partial"):
        (folder / sub).mkdir(parents=True)
    own = [
        "-o", f"Dir::State::lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}",
        # The folder is ours alone, so apt's own user could not write into it.
        "-o", "APT::Sandbox::User=root",
    ]  # fmt: skip
    shared = ["-o", f"Dir::Cache={folder / 'cache'}", "-o", "APT::Sandbox::User=root"]
    said = ""
    for steps in ([[*shared, "download", package]], [[*own, "update"], [*own, "download", package]]):
        done = [
            subprocess.run(["apt-get", "-qq", *step], cwd=folder, capture_output=True, text=True, check=False)
            for step in steps
        ]
        if done[-1].returncode == 0 and any(folder.glob("*.deb")):
            return
        said = "".join(one.stderr for one in done).strip()
    raise RuntimeError(f"Downloading the Debian package '{package}' failed: {said}")


if __name__ == "__main__":
    # The folder of a program, for PATH; nothing where it cannot be had, since whoever asks can do without.
    try:
        sys.stdout.write(f"{program(sys.argv[1]).parent}\n")
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
