"""The environments of a test file: those it declares, that of its stage, or `dev`.

A module, or the conftest.py of its folder, declares them in a line such as `RUNS_IN = ("model",)`. The line is read without
importing the module, because the import would fail in other environments.
"""

import re
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]
SOURCE = TESTS.parent / "components" / "tiffin"
ENVIRONMENTS = ("dev", "data", "model", "gateway", "notebooks")
# .venvs/<environment>
HERE = Path(sys.prefix).name if Path(sys.prefix).name in ENVIRONMENTS else "dev"


def environments(file: Path) -> set[str]:
    """Return the environments that a test file runs in."""
    # Local import: conftest.py must remove the developer's settings before Tiffin is imported.
    from tiffin.stages import find_stages

    for place in (file, file.with_name("conftest.py")):
        if place.exists() and (named := re.search(r"^RUNS_IN = \((.*)\)$", place.read_text(), re.MULTILINE)):
            return set(re.findall(r"\w+", named[1]))
    if file.parent.parent == TESTS / "stages":
        return {row.environment for row in find_stages()[file.parent.name].values()}
    return {"dev"}


def run_here(path: Path) -> bool:
    """Return whether a file, or any file in a folder, runs in the environment of this interpreter."""
    files = path.rglob("test_*.py") if path.is_dir() else [path]
    return any(HERE in environments(file) for file in files)
