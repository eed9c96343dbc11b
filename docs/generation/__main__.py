"""Write the site's pages into a folder: those in docs/, those of other folders, and those generated from the code.

python -m generation pages FOLDER    write the pages
python -m generation check FOLDER    check that the site built from them loads nothing from other hosts
"""

import shutil
import sys
from pathlib import Path

from generation.commands import write_commands
from generation.offline import find_foreign
from tiffin.authoring.compilation import compile_catalogue, component_names
from tiffin.storage.files import write_bytes

ROOT = Path(__file__).parents[2]
# Page -> the file of the repository that it shows.
COPIES = {
    "project/changelog.md": "CHANGELOG.md",
    "project/security.md": "SECURITY.md",
    "reference/manifests.md": "manifests/README.md",
}


def write_pages(folder: Path) -> None:
    """Write every page and picture of the site into a folder, which is emptied first."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("generation", "__pycache__"))
    for page, source in COPIES.items():
        write_bytes(folder / page, (ROOT / source).read_bytes())
    write_bytes(folder / "reference" / "commands.md", write_commands().encode())
    for path, content in compile_catalogue(component_names()).items():
        if path.endswith(".md"):
            write_bytes(folder / "reference" / "components" / path, content)


def main(action: str, folder: str) -> int:
    """Write the pages, or check the site."""
    if action == "pages":
        write_pages(Path(folder))
        return 0
    found = find_foreign(Path(folder))
    for line in found:
        sys.stderr.write(f"error: A page must not load anything from another host. Received: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
