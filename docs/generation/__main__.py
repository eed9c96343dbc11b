"""Write the pages of the site, or check that the built site loads nothing from other hosts.

    python -m generation pages FOLDER
    python -m generation check FOLDER

The pages are those in docs/, copies of other folders' pages, and those generated from the code.
"""

import argparse
import shutil
import sys
from pathlib import Path

from generation.commands import write_commands
from generation.functions import write_functions
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
    """Write every page and picture of the site into a new folder."""
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("generation", "__pycache__"))
    for page, source in COPIES.items():
        # Links of a folder beside docs/. The page is as deep in the site as the file is in the repository.
        write_bytes(folder / page, (ROOT / source).read_bytes().replace(b"](../docs/", b"](../"))
    write_bytes(folder / "reference" / "commands.md", write_commands().encode())
    write_bytes(folder / "reference" / "functions.md", write_functions().encode())
    for path, content in compile_catalogue(component_names()).items():
        if path.endswith(".md"):
            write_bytes(folder / "reference" / "components" / path, content)


def main(arguments: list[str] | None = None) -> int:
    """Write the pages, or check the site.

    Args:
        arguments: Defaults to those of the command line.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="python -m generation", description=__doc__.partition("\n")[0])
    parser.add_argument("action", choices=["pages", "check"])
    parser.add_argument("folder", type=Path, help="a new folder for the pages, or the built site to check")
    options = parser.parse_args(arguments)
    if options.action == "pages":
        if options.folder.exists():
            parser.error(f"The folder of the pages must not exist. Received: '{options.folder}'. Delete it first.")
        write_pages(options.folder)
        return 0
    if not (options.folder / "index.html").exists():
        parser.error(f"No site with an index.html in '{options.folder}'. Build it with `make docs`.")
    found = find_foreign(options.folder)
    for line in found:
        sys.stderr.write(f"error: A page must not load anything from another host. Received: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
