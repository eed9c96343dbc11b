"""Each entry names the extra that has the packages it needs."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import tiffin
from tiffin.commands.main import main
from tiffin.errors import MissingExtra, needs_extra

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Python with `tiffin` as `pip install .` leaves it, without any extra."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=True)
    (packages,) = folder.glob("lib/python3*/site-packages")
    (packages / "tiffin.pth").write_text(str(Path(tiffin.__file__).parents[1]))
    metadata = packages / "tiffin-0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    lines = [f"Requires-Dist: {requirement}" for requirement in importlib.metadata.requires("tiffin")]
    metadata.write_text("\n".join(["Name: tiffin", "Version: 0", *lines]))
    return lambda code: subprocess.run(
        [folder / "bin" / "python", "-c", code], capture_output=True, text=True, timeout=60, cwd=folder
    )


@pytest.mark.parametrize(
    ("program", "extra"),
    [
        ("tiffin", "sdk"),
        ("tiffin predict rows.csv", "sdk"),
        ("tiffin-model-server --port=1 --model_name=m --model_base_path=/", "model"),
    ],
)
def test_a_program_without_its_extra_names_it_in_one_line(bare: Run, program: str, extra: str) -> None:
    name, *arguments = program.split()
    module, _, function = PROJECT["scripts"][name].partition(":")
    done = bare(f"import sys; sys.argv = {[name, *arguments]}; from {module} import {function}; {function}()")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert f"pip install 'tiffin[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    ("statement", "extra"),
    [
        ("from tiffin import train_model", "sdk"),
        ("from tiffin.serving import Client", "client"),
        ("from tiffin.serving import AsyncClient", "client"),
    ],
)
def test_an_import_without_its_extra_names_it(bare: Run, statement: str, extra: str) -> None:
    done = bare(
        f"import tiffin.serving\ntry: {statement}\nexcept ImportError as error: print(type(error).__name__, error)"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingExtra ")
    assert f"pip install 'tiffin[{extra}]'" in done.stdout
    assert re.search(r"\(.*'\w+'\)", done.stdout), "the module that was not found"


def test_a_failed_import_is_a_bug_where_the_extra_is_installed() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package") as raised, needs_extra("sdk"):
        import no_such_package  # noqa: F401

    assert not isinstance(raised.value, MissingExtra)


@pytest.fixture
def other_metadata(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[str] | None], None]:
    """A function that replaces the requirements in the package's metadata; None: there is no metadata."""

    def replace(requirements: list[str] | None) -> None:
        def requires(name: str) -> list[str]:
            if requirements is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return requirements

        monkeypatch.setattr(importlib.metadata, "requires", requires)

    return replace


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_missing_package_is_found_however_the_metadata_is_quoted(other_metadata: Callable, quote: str) -> None:
    other_metadata([f"pytest[x]>=1; extra == {quote}sdk{quote}", f"no-such>=1,<2; extra == {quote}sdk{quote}"])

    with pytest.raises(MissingExtra, match=r"tiffin\[sdk\]") as raised, needs_extra("sdk"):
        import no_such_package  # noqa: F401

    assert raised.value.name == "no_such_package"


def test_a_failed_import_of_a_source_tree_stays_as_it_is(other_metadata: Callable) -> None:
    other_metadata(None)

    with pytest.raises(ModuleNotFoundError, match="no_such_package"), needs_extra("sdk"):
        import no_such_package  # noqa: F401


def test_the_extra_that_is_named_first_stays(other_metadata: Callable) -> None:
    other_metadata(["no-such>=1; extra == 'sdk'"])

    with pytest.raises(MissingExtra, match=r"^client$"), needs_extra("sdk"):
        raise MissingExtra("client")


def test_a_command_whose_extra_is_incomplete_names_it(
    other_metadata: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Modules that a command imports on use: click is there, kfp is not."""
    other_metadata(["no-such>=1; extra == 'sdk'"])
    monkeypatch.setitem(sys.modules, "tiffin.commands.compile", None)

    with pytest.raises(SystemExit) as left:
        main(["compile"])

    assert left.value.code == 1
    assert "pip install 'tiffin[sdk]'" in capsys.readouterr().err
