"""How much memory ingest may use: a share of the container's, or of the machine's; beyond it, DuckDB spills to disk."""

import os
import re
from pathlib import Path

from tiffin.errors import InputError

# Sets the limit in bytes, or with a unit.
SETTING = "TIFFIN_INGEST_MEMORY"
# The rest is for Python, the buffers of the CSV reader and what DuckDB does not count.
_SHARE = 0.5
_UNITS = {"": 1} | {f"{unit}{end}": base**power for end, base in (("B", 1000), ("IB", 1024), ("I", 1024), ("", 1000))
                    for power, unit in enumerate("KMGT", 1)}  # fmt: skip
_LEAST = 64_000_000


def memory_limit(root: Path = Path("/")) -> int:
    """Return the bytes that DuckDB may use.

    Args:
        root: Folder with `proc` and `sys`.

    Raises:
        InputError: The environment variable TIFFIN_INGEST_MEMORY is not a size, or is below 64 MB.
    """
    text = os.environ.get(SETTING, "").strip()
    if not text:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        return max(_LEAST, int(_SHARE * min([machine, *_container_limits(root)])))
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Z]*)", text.upper())
    size = int(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else 0
    if size < _LEAST:
        raise InputError(f"{SETTING} should be a size of at least 64MB, for example 2GB or 512MiB. Received: '{text}'.")
    return size


def _container_limits(root: Path) -> list[int]:
    """Return the memory limits of the process's control group and of those around it, of version 2 or 1."""
    try:
        groups = [line.split(":", 2) for line in (root / "proc/self/cgroup").read_text().splitlines()]
    except OSError:  # not Linux
        return []
    found = []
    for _, controllers, path in groups:
        if controllers == "":
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container, the path may be that of the host: then only the top is there.
        here = top / path.strip("/")
        for folder in (here, *here.parents):
            if (folder / name).is_file() and (text := (folder / name).read_text().strip()).isdigit():
                found.append(int(text))
            if folder == top:
                break
    return found
