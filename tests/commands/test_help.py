"""The help of every command: examples, pipelines and parameters."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from support.code_blocks import check_tiffin, command_lines
from support.command_line import tiffin
from tiffin.authoring.compilation import component_names, load_spec, pipeline_names
from tiffin.authoring.listing import list_components, list_parameters, list_pipelines
from tiffin.commands.main import main


def every_command(group: click.Group, *names: str) -> Iterator[tuple[str, click.Command]]:
    """Yield every command with its path, and those of its groups."""
    yield " ".join(names), group
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from every_command(command, *names, name)
        else:
            yield " ".join((*names, name)), command


COMMANDS = dict(every_command(main))


def run_help(*arguments: str) -> str:
    result = CliRunner().invoke(main, [*arguments, "--help"], terminal_width=80)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("path", COMMANDS)
def test_every_help_has_examples_that_parse(path: str, tmp_path: Path) -> None:
    shown = run_help(*path.split())
    examples = command_lines(shown.partition("Examples:\n")[2])

    assert examples
    assert all(len(line) <= 80 for line in shown.splitlines())
    for line in examples:
        words = shlex.split(line)
        assert words[0] == "tiffin"
        check_tiffin(words[1:], "", tmp_path)
    # At least one example is of the command itself.
    assert any(line.strip().startswith(f"tiffin {path}".strip()) for line in examples)


@pytest.mark.parametrize("command", ["run", "submit", "schedule set"])
def test_the_help_lists_the_pipelines(command: str) -> None:
    shown = run_help(*command.split())

    assert re.findall(r"^  (\w+)  ", shown.partition("Pipelines (")[2].partition("\n\n")[0], re.MULTILINE) == [
        *pipeline_names()
    ]
    assert "--set KEY=VALUE" in shown


@pytest.mark.parametrize(
    "arguments", [("run", "training"), ("submit", "training"), ("schedule", "set", "x", "training")]
)
def test_the_help_of_a_pipeline_has_its_parameters_by_step_and_in_order(arguments: tuple[str, ...]) -> None:
    shown = run_help(*arguments)
    spec = load_spec("training")
    groups = re.findall(r"^(\w[^\n]*):\n((?:  .*\n)+)", shown, re.MULTILINE)
    found = {title: re.findall(r"^  (\w+) ([\w|]+)(?:  |$)", rows, re.MULTILINE) for title, rows in groups}

    assert list(found) == ["Ingest", "Validate", "Train", "Evaluate", "Register", "Deploy", "Roll out", "Summarize"]
    assert [name for rows in found.values() for name, _ in rows] == list(list_parameters("training"))
    assert {name for rows in found.values() for name, _ in rows} == set(spec.parameters)
    assert found["Ingest"][:2] == [("data", "str"), ("label", "str")]
    assert ("task", "auto|binary|multiclass|regression") in found["Train"]
    assert ("epochs", "int") in found["Train"]
    flat = " ".join(shown.split())
    assert f"[default: {spec.parameters['epochs'].default}]" in flat
    assert "[default: late; also for Validate, Train]" in flat
    assert '[default: {"eval": 1, "train": 2}]' in flat


def test_the_help_of_a_spec_has_its_parameters(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_bytes(load_spec("training").content.replace(b"defaultValue: late", b"defaultValue: own"))

    assert "[default: own; also for" in " ".join(run_help("run", str(path)).split())


@pytest.mark.parametrize(
    "order", [["--help", "training"], ["training", "--help"], ["training", "--set", "epochs=1", "--help"]]
)
def test_the_help_option_may_be_anywhere(order: list[str]) -> None:
    result = CliRunner().invoke(main, ["run", *order])

    assert result.exit_code == 0
    assert "\nIngest:\n" in result.output


def test_the_help_of_an_unknown_pipeline_suggests_the_closest_one() -> None:
    status, output, errors = tiffin("run", "trainin", "--help")

    assert (status, output) == (2, "")
    assert re.search(r"'trainin'.*'training'", errors)


@pytest.mark.parametrize(("command", "listed"), [("pipelines", pipeline_names()), ("components", component_names())])
def test_names_are_listed_with_a_description(command: str, listed: list[str]) -> None:
    plain, as_json = (CliRunner().invoke(main, [command, *options]).output for options in ([], ["--json"]))
    found = [json.loads(line) for line in as_json.splitlines()]

    assert re.findall(r"^(\w+)", plain, re.MULTILINE) == listed
    assert [one["name"] for one in found] == listed
    assert all(one["description"].endswith(".") for one in found)
    assert all(len(line) <= 80 for line in plain.splitlines())


def test_lists_are_read_without_importing_kfp() -> None:
    program = (
        "import sys; from tiffin.commands.main import main; import tiffin.commands.run\n"
        "from tiffin.authoring.listing import *\n"
        "list_pipelines(), list_components(), list_parameters('training')\n"
        "print({'kfp', 'rich', 'pyarrow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"


def test_descriptions_and_choices_come_from_the_source() -> None:
    assert list_pipelines()["training"].startswith("Ingest, validate, train")
    assert list_components()["stop_run"].startswith("Fail the run")
    assert list_parameters("training")["task"] == ("auto", "binary", "multiclass", "regression")
    assert list_parameters("training")["data"] == ()
    assert list_parameters("nope") == {}
