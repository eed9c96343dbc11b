"""Each entry names the extra that has the packages it needs."""

import importlib.metadata
import subprocess
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

import tiffin
from tiffin.errors import MissingExtra, needs_extra

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
        ("from tiffin.commands import start; start()", "sdk"),
        ("import sys; sys.argv[1:] = ['predict', 'rows.csv']; from tiffin.commands import start; start()", "sdk"),
        (
            "import sys; sys.argv[1:] = ['--port=1', '--model_name=m', '--model_base_path=/']; "
            "from tiffin.model_server import main; main()",
            "model",
        ),
    ],
)
def test_a_program_without_its_extra_names_it_in_one_line(bare: Run, program: str, extra: str) -> None:
    done = bare(program)

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


def test_a_failed_import_is_a_bug_where_the_extra_is_installed() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_package") as raised, needs_extra("sdk"):
        import no_such_package  # noqa: F401

    assert not isinstance(raised.value, MissingExtra)


def test_the_extra_that_is_named_first_stays() -> None:
    with pytest.raises(MissingExtra, match="client"), needs_extra("sdk"):
        raise MissingExtra("client")
