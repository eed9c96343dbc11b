"""Small file systems in memory, to test full disks."""

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """Mount a file system of this size at a folder in the context."""
    folder.mkdir(exist_ok=True)
    options = ["-t", "tmpfs", "-o", f"size={kilobytes}k", "tiffin-test"]
    subprocess.run(["mount", *options, str(folder)], check=True, capture_output=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def resize(folder: Path, kilobytes: int) -> None:
    """Change the size of a small disk; its files are kept."""
    subprocess.run(["mount", "-o", f"remount,size={kilobytes}k", str(folder)], check=True, capture_output=True)


def _may_mount() -> bool:
    with tempfile.TemporaryDirectory() as folder:
        try:
            with small_disk(Path(folder, "disk"), 64):
                return True
        except (OSError, subprocess.CalledProcessError):
            return False


needs_small_disks = pytest.mark.skipif(not _may_mount(), reason="only root may mount a small disk")
