"""Read and check the fenced code blocks of the documentation."""

import configparser
import contextlib
import functools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml
from markdown_it import MarkdownIt

import tiffin.serving
from tiffin.authoring.compilation import load_spec, pipeline_names
from tiffin.commands.main import main
from tiffin.specs.adjustments import Adjustments
from tiffin.specs.parameters import gather_parameters

ROOT = Path(__file__).parents[2]
_load_spec = functools.cache(load_spec)
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "manifests/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
)
# Blocks with this title need a server or files that tests lack; only their types are checked.
NEEDS = 'title="needs '
# Values of variables that a block sets.
VALUES = {"$before": "2026-03-01T12:00:00", "$run": "training-20260301-120000-1a2b"}
# Programs that are not Tiffin's.
OTHERS = {"cd", "curl", "git", "kill", "sed", "sort", "unset"}


@dataclass(frozen=True)
class Block:
    """A fenced code block.

    Attributes:
        page: File with the block.
        line: Line of the fence.
        language: First word of the fence.
        info: Text of the fence.
        code: Text of the block.
        before: Preceding YAML block of the page, for commands that read it from a file; empty if none.
    """

    page: Path
    line: int
    language: str
    info: str
    code: str
    before: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def read_blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page in order."""
    before = ""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type in ("fence", "code_block"):
            language = token.info.partition(" ")[0]
            yield Block(page, token.map[0] + 1 if token.map else 0, language, token.info, token.content, before)
            before = token.content if language == "yaml" else before


def check_block(block: Block, folder: Path) -> None:
    """Check a block by language. `check_types` checks Python blocks that need a server."""
    if block.language == "sh":
        for line in command_lines(block.code):
            check_command(line, block.before, folder)
    elif block.language == "python":
        compile(block.code, str(block), "exec")
        if NEEDS not in block.info:
            run_python(block.code, folder)
    elif block.language == "yaml":
        assert list(yaml.safe_load_all(block.code))
    elif block.language == "json":
        json.loads(block.code)
    elif block.language == "toml":
        tomllib.loads(block.code)
    elif block.language == "ini":
        assert configparser.ConfigParser().read_string(block.code) is None
    else:
        assert block.language == "text", f"unsupported language of a code block: '{block.info}'"


def run_python(code: str, folder: Path) -> None:
    """Execute a program in a folder."""
    (folder / "example.py").write_text(code)
    done = subprocess.run([sys.executable, "-W", "ignore", "example.py"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def check_types(blocks: list[Block], folder: Path) -> None:
    """Check the names and arguments in Python blocks without running them."""
    for number, block in enumerate(blocks):
        (folder / f"block_{number}.py").write_text(re.sub(r"from tiffin\.serving import (\w+)", _import, block.code))
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml", *sorted(folder.glob("block_*.py"))],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def _import(found: re.Match[str]) -> str:
    # mypy cannot follow the package's imports on first use.
    return f"from {getattr(tiffin.serving, found[1]).__module__} import {found[1]}"


def command_lines(code: str) -> list[str]:
    """Return the command lines of a shell block."""
    return [line for line in code.replace("\\\n", " ").splitlines() if line.strip()]


def check_command(line: str, before: str, folder: Path) -> None:
    """Check one command line."""
    # A command in the background, and where its output goes, are the shell's.
    line = re.sub(r"( \d?>+(&\d|\S+))*( & echo \S+ \S+| &)?$", "", line)
    words = [VALUES.get(word, word) for word in shlex.split(line, comments=True)]
    if re.match(r"\w+=\$\(", words[0]):  # the value of a variable
        return
    program, arguments = Path(words[0]).name, words[1:]
    if program == "tiffin":
        check_tiffin(arguments, before, folder)
    elif program == "make":
        check_make(arguments)
    elif program == "kubectl":
        check_kubectl(arguments)
    elif program == "export":
        names = [word.partition("=")[0] for word in arguments]
        assert all(name == "PATH" or name in known_variables() for name in names), names
    elif program == "pip":
        check_pip(arguments)
    else:
        assert program in OTHERS, f"unknown program: {program}"


def check_tiffin(arguments: list[str], before: str, folder: Path) -> None:
    """Check the command, its options, the pipeline's parameters, and the steps named in options."""
    try:
        given = parse_tiffin(arguments)
    except click.exceptions.Exit:  # --help or --version
        return
    named = given.get("pipelines") or [name for name in (given.get("pipeline"),) if name]
    for pipeline in named:
        if pipeline.endswith(".yaml"):
            continue  # a spec that the reader compiled
        assert pipeline in pipeline_names(), pipeline
        spec = _load_spec(pipeline, Adjustments(*(given.get(name, ()) for name in ("sizes", "deadlines", "mounts"))))
        if "settings" in given:
            gather_parameters(spec, given["settings"], _parameter_file(given["file"], before, folder))


def parse_tiffin(arguments: list[str]) -> dict[str, Any]:
    """Return the values of the command's parameters."""
    command: click.Command = main
    context = click.Context(main, info_name="tiffin")
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, parent = found, context
        context = click.Context(command, info_name=command.name, parent=parent)
        if not isinstance(command, click.Group):
            context = command.make_context(command.name, list(arguments), parent=parent)
    return context.params


def _parameter_file(file: str | None, before: str, folder: Path) -> str | None:
    if not file or (ROOT / file).exists():
        return file and str(ROOT / file)
    assert before, f"no YAML block for {file} on the page"
    path = folder / Path(file).name
    path.write_text(before)
    return str(path)


def check_inline(text: str, folder: Path) -> None:
    """Check the commands in the text of a page, which may leave out arguments that a command requires."""
    spans = [
        part.content
        for token in MarkdownIt().parse(text)
        for part in token.children or []
        if part.type == "code_inline"
    ]
    for line in spans:
        if re.match(r"(make|tiffin|pip|kubectl) ", line):
            with contextlib.suppress(click.MissingParameter):
                check_command(line, "", folder)


def check_make(arguments: list[str]) -> None:
    """Check that `make help` lists the targets, and that the Makefile uses the variables."""
    makefile = (ROOT / "Makefile").read_text()
    for word in arguments:
        name, is_variable, _ = word.partition("=")
        if is_variable:
            assert re.search(rf"\$\({name}\)|\b{name}=", makefile), name
        else:
            assert re.search(rf"^{re.escape(name)}:.*## ", makefile, re.MULTILINE), name


def check_kubectl(arguments: list[str]) -> None:
    """Check that the folders to apply or render exist."""
    folders = [word for word in arguments if "/" in word and arguments[0] in ("apply", "kustomize")]
    assert folders or arguments[0] not in ("apply", "kustomize"), f"no folder in the command: {arguments}"
    for folder in folders:
        assert (ROOT / folder / "kustomization.yaml").is_file(), folder


def check_pip(arguments: list[str]) -> None:
    """Check that extras exist."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for name in re.findall(r"tiffin\[([\w,-]+)\]", " ".join(arguments)):
        assert set(name.split(",")) <= extras.keys(), name


def known_variables() -> set[str]:
    """Return the environment variables that the code, the Makefile and the manifests name."""
    found: set[str] = set()
    pattern = re.compile(r"\b(?:TIFFIN|KF_PIPELINES|MINIO|AWS|MLFLOW)_[A-Z0-9_]*[A-Z0-9]\b")
    for place in ("components/tiffin", "components/images", "manifests", "Makefile"):
        files = [ROOT / place] if (ROOT / place).is_file() else (ROOT / place).rglob("*.*")
        for file in files:
            if file.suffix in (".py", ".yaml", ""):
                found |= set(pattern.findall(file.read_text()))
    return found
