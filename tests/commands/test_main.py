import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from support.command_line import TIFFIN
from tiffin import __version__
from tiffin.commands import main as cli
from tiffin.commands import options
from tiffin.errors import InputError, ServingError


def tiffin(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        [TIFFIN, *arguments], capture_output=True, text=True, check=False, **options
    )


def report(error: BaseException, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return the exit status and standard error of a command that raises `error`."""

    def fail(**_: object) -> None:
        raise error

    status = cli._exit_status(fail)
    return status, capsys.readouterr().err


def test_without_arguments_the_commands_are_listed() -> None:
    done = tiffin()

    assert done.returncode == 2
    assert all(f"  {name} " in done.stderr for name in cli.COMMANDS)
    assert tiffin("--help").stdout.startswith("Usage: tiffin [OPTIONS] COMMAND [ARGS]...")


def test_the_version_is_a_line_of_its_own() -> None:
    assert tiffin("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_imports_no_heavy_modules(name: str) -> None:
    heavy = "[n for n in ('kfp', 'rich', 'grpc', 'numpy', 'yaml', 'tensorflow', 'duckdb') if n in sys.modules]"
    ended = f"import atexit, runpy, sys; atexit.register(lambda: print('heavy', {heavy}))"
    code = f"{ended}; runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", code, TIFFIN, name, "--help"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith(f"Usage: tiffin {name} ")
    assert "heavy []" in done.stdout or name in ("load", "predict")


def test_an_unknown_command_suggests_the_closest_one() -> None:
    done = tiffin("complie")

    assert done.returncode == 2
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    assert all(part in error for part in ("'complie'", "'compile'?", ", ".join(cli.COMMANDS)))


def test_an_unknown_option_has_our_error_prefix() -> None:
    done = tiffin("sample", "--row", "5", "x.csv")

    assert done.returncode == 2
    assert re.match(r"error: .*'--row'", done.stderr.splitlines()[-1])


def test_an_error_is_one_line_and_an_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(InputError("`data`: empty."), capsys) == (2, "error: `data`: empty.\n")
    assert report(ServingError("No answer."), capsys) == (1, "error: No answer.\n")
    status, err = report(OSError(28, os.strerror(28), "out.csv"), capsys)
    assert status == 1
    assert re.fullmatch(rf"error: .*'out\.csv': {os.strerror(28)}\. .*\n", err)


def test_an_error_has_a_traceback_only_with_debug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIFFIN_DEBUG", "1")
    status, err = report(InputError("`data`: empty."), capsys)

    assert status == 2
    assert err.startswith("Traceback")
    assert err.endswith("error: `data`: empty.\n")


def test_a_bug_has_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    status, err = report(ZeroDivisionError("oh"), capsys)

    assert status == 1
    assert "ZeroDivisionError: oh" in err
    assert err.splitlines()[-1].startswith("error: ")


def test_an_interruption_has_no_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(click.Abort(), capsys) == (130, "Interrupted.\n")


def test_debug_is_accepted_before_and_after_the_command(tmp_path: Path) -> None:
    before, behind = (
        tiffin(*arguments, cwd=tmp_path)
        for arguments in (("--debug", "compile", "nope"), ("compile", "nope", "--debug"))
    )

    assert before.returncode == behind.returncode == 2
    assert "Traceback" in before.stderr
    assert "Traceback" in behind.stderr
    assert "Traceback" not in tiffin("compile", "nope", cwd=tmp_path).stderr


def test_a_closed_pipe_is_not_an_error(tmp_path: Path) -> None:
    command = f'"$0" compile ingest_examples stop_run --output {tmp_path} | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", command, TIFFIN], capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert done.stdout in ("0\n", "1\n")


def test_every_command_is_a_command() -> None:
    with click.Context(cli.main) as context:
        for name in cli.COMMANDS:
            command = cli.main.get_command(context, name)
            assert command is not None
            assert command.name == name
            assert {"debug"} <= {parameter.name for parameter in command.params}


def test_commands_that_are_named_have_the_state_only_if_needed() -> None:
    assert options.state_argument(".tiffin") == ""
    assert options.state_argument("my state") == " --state 'my state'"


def test_the_list_of_commands_has_their_descriptions() -> None:
    result = CliRunner().invoke(cli.main, ["--help"])

    assert result.exit_code == 0
    assert cli.COMMANDS["run"] in result.output
