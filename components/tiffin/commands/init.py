"""`tiffin init`."""

import re
import shlex
import shutil
from importlib import resources
from pathlib import Path

import click

from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo
from tiffin.errors import InputError
from tiffin.storage.files import write_bytes
from tiffin.version import __version__

# File of a project -> its template in `tiffin.commands.project`, or its content.
_TEMPLATES = {
    "README.md": "README.md.in",
    "Makefile": "Makefile.in",
    "pipeline.py": "pipeline.py.in",
    "model.py": "model.py.in",
    "params.yaml": "params.yaml.in",
    "tests/test_pipeline.py": "test_pipeline.py.in",
    "tests/test_model.py": "test_model.py.in",
    ".github/workflows/ci.yml": "ci.yml.in",
    ".gitignore": "gitignore.in",
}
# Virtualenvs of a project: one per image, and that of the command line.
ENVIRONMENTS = ("sdk", "data", "model", "gateway")
_NAME = r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?"


@click.command(epilog=examples("tiffin init lateness", "tiffin init . --name late-orders"))
@click.argument("folder", type=click.Path(), metavar="DIR")
@click.option(
    "--name",
    metavar="NAME",
    default="",
    help="Name of the pipeline: lower-case letters, digits and '-'.  [default: from the name of DIR]",
)
@debug_option
def init(folder: str, name: str) -> None:
    """Write a project with a pipeline and a Keras model of your own to DIR.

    The project has a pipeline of Tiffin's components, a model file, parameters, tests, a Makefile and a workflow for
    GitHub, for this version of Tiffin. DIR must be new or empty, except for `.git`.
    """
    place = Path(folder)
    name = _checked_name(name, place)
    _check_empty(place)
    for path in write_project(place, name):
        echo(path)
    echo(_next_steps(folder))


def write_project(folder: Path, name: str) -> list[Path]:
    """Write the files of a project, or none of them.

    Args:
        folder: Folder without files other than `.git`; created if missing.
        name: Name of the pipeline.

    Returns:
        The paths of the files.
    """
    written = {folder / path: content for path, content in read_project(name).items()}
    existed = folder.exists()
    try:
        for path, content in written.items():
            write_bytes(path, content.encode())
    except BaseException:
        for entry in folder.iterdir() if existed else [folder]:
            if entry.is_dir() and entry.name != ".git":
                shutil.rmtree(entry)
            elif entry.is_file():
                entry.unlink()
        raise
    return list(written)


def read_project(name: str) -> dict[str, str]:
    """Return the files of a project: path to content."""
    templates = resources.files("tiffin.commands.project")
    title = name.replace("-", " ").capitalize()
    found = {}
    for path, template in _TEMPLATES.items():
        text = (templates / template).read_text(encoding="utf-8")
        found[path] = text.replace("@NAME@", name).replace("@VERSION@", __version__).replace("@TITLE@", title)
    return found | {f"requirements/{env}.txt": f"tiffin[{env}]=={__version__}\n" for env in ENVIRONMENTS}


def _checked_name(name: str, place: Path) -> str:
    found = name or re.sub(r"[^a-z0-9]+", "-", place.resolve().name.lower()).strip("-")
    if not re.fullmatch(_NAME, found):
        raise InputError(
            "--name should be a name of a pipeline: at most 50 lower-case letters, digits and '-', starting with a letter. "
            f"Received: {f'--name {name}' if name else f'the folder {place.resolve().name!r}, which gives no such name'}. "
            "Pass --name, such as --name late-orders."
        )
    return found


def _check_empty(place: Path) -> None:
    if place.exists() and not place.is_dir():
        raise InputError(f"DIR should be a folder. Received: '{place}', a file. Choose another name.")
    found = sorted(path.name for path in place.iterdir() if path.name != ".git") if place.exists() else []
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise InputError(
            f"DIR should be new or empty. Received: '{place}' with {', '.join(found[:3])}{more}. Choose another folder."
        )


def _next_steps(folder: str) -> str:
    from tiffin.local.environments import find_environment, find_missing

    options = ""
    if not find_missing(ENVIRONMENTS):
        # Of a checkout, or beside this command's.
        options = " " + shlex.quote(f"VENVS={find_environment('model').parent}")
    lines = ["Next:", *([f"  cd {shlex.quote(folder)}"] if folder != "." else [])]
    lines += [f"  make{options} test run"] if options else ["  make setup", "  make test run"]
    return "\n".join(lines)
