"""`tiffin init`: the files of a project, the folders and names it refuses, and the project at work."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.command_line import tiffin
from tiffin.artifacts.model import model_code, read_training
from tiffin.commands import init as module
from tiffin.local.environments import find_environment
from tiffin.version import __version__

ROOT = Path(__file__).parents[2]
FILES = [
    ".github/workflows/ci.yml", ".gitignore", "Makefile", "README.md", "model.py", "params.yaml", "pipeline.py",
    "requirements/data.txt", "requirements/gateway.txt", "requirements/model.txt", "requirements/sdk.txt", "tests/test_model.py",
    "tests/test_pipeline.py",
]  # fmt: skip


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def content(folder: Path) -> str:
    return "".join((folder / name).read_text() for name in FILES)


class TestFiles:
    def test_into_a_new_folder(self, tmp_path: Path) -> None:
        status, output, errors = tiffin("init", tmp_path / "a" / "Late Orders_2")

        assert (status, errors, files(tmp_path / "a" / "Late Orders_2")) == (0, "", FILES)
        assert [line for line in output.splitlines() if line.endswith("params.yaml")]
        assert f"cd '{tmp_path}/a/Late Orders_2'" in output
        assert 'name="late-orders-2"' in content(tmp_path / "a" / "Late Orders_2")

    @pytest.mark.parametrize("existing", [[], [".git"]])
    def test_into_an_empty_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: list[str]) -> None:
        for name in existing:
            (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path)
        status, output, _ = tiffin("init", ".", "--name", "orders")

        assert (status, files(tmp_path)) == (0, FILES)
        assert "cd " not in output

    def test_are_for_this_version_and_have_no_placeholder(self) -> None:
        found = module.read_project("orders")

        assert not re.search("@[A-Z]+@", "".join(found.values()))
        for name in ("sdk", "data", "model"):
            assert found[f"requirements/{name}.txt"] == f"tiffin[{name}]=={__version__}\n"
        assert __version__ in found["README.md"]

    def test_are_well_formed(self, tmp_path: Path) -> None:
        tiffin("init", tmp_path / "orders")
        options = ["--isolated", "--no-cache", "--line-length=120", "--target-version=py311"]
        ruff = Path(sys.executable).with_name("ruff")
        for command in (["check", "--select=E,F,I,B,D1", "--ignore=E712,D102,D107"], ["format", "--check"]):
            done = subprocess.run(
                [ruff, *command, *options, "."], cwd=tmp_path / "orders", capture_output=True, text=True
            )
            assert done.returncode == 0, done.stdout

    def test_the_workflow_runs_targets_with_the_actions_of_this_repository(self, tmp_path: Path) -> None:
        tiffin("init", tmp_path / "orders")
        path = tmp_path / "orders" / ".github" / "workflows" / "ci.yml"
        [job] = yaml.safe_load(path.read_text())["jobs"].values()
        makefile = (tmp_path / "orders" / "Makefile").read_text()
        own = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
        checker = Path(sys.executable).with_name("check-jsonschema")
        done = subprocess.run(
            [checker, "--builtin-schema", "vendor.github-workflows", path], capture_output=True, text=True
        )

        assert done.returncode == 0, done.stdout
        for step in job["steps"]:
            assert step.get("uses", "actions/checkout@") in own
            if "run" in step:
                assert re.search(rf"^{step['run'].removeprefix('make ')}:.*## ", makefile, re.MULTILINE)


class TestRefused:
    @pytest.mark.parametrize("name", ["notes.txt", ".env", "sub"])
    def test_a_folder_that_is_not_empty(self, tmp_path: Path, name: str) -> None:
        (tmp_path / name).mkdir() if name == "sub" else (tmp_path / name).write_text("mine")
        status, output, errors = tiffin("init", tmp_path, "--name", "orders")

        assert (status, output) == (2, "")
        assert f"'{tmp_path}'" in errors
        assert name in errors
        assert [path.name for path in tmp_path.iterdir()] == [name]

    def test_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "orders").write_text("mine")
        status, _, errors = tiffin("init", tmp_path / "orders")

        assert status == 2
        assert f"'{tmp_path}/orders'" in errors
        assert (tmp_path / "orders").read_text() == "mine"

    @pytest.mark.parametrize("name", ["Orders", "1st", "late_orders", "a b", "-a", "a-", "é", "x" * 51, "a/b", "a\nb"])
    def test_a_name(self, tmp_path: Path, name: str) -> None:
        status, _, errors = tiffin("init", tmp_path / "new", f"--name={name}")

        assert status == 2
        assert "--name" in errors
        assert not (tmp_path / "new").exists()

    @pytest.mark.parametrize("folder", ["123", "___", "日本"])
    def test_a_folder_whose_name_gives_none(self, tmp_path: Path, folder: str) -> None:
        status, _, errors = tiffin("init", tmp_path / folder)

        assert status == 2
        assert f"'{folder}'" in errors
        assert tiffin("init", tmp_path / folder, "--name=orders")[0] == 0

    def test_a_folder_above_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        status, _, errors = tiffin("init", tmp_path / "file" / "orders")

        assert status != 0
        assert f"{tmp_path}/file" in errors

    @pytest.mark.parametrize("existing", [None, [], [".git"]])
    def test_a_failure_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: list[str] | None
    ) -> None:
        folder, left, write = tmp_path / "orders", list(FILES[:7]), module.write_bytes
        for name in existing or ():
            (folder / name).mkdir(parents=True)
        folder.mkdir(exist_ok=True) if existing is not None else None

        def fail(path: Path, written: bytes) -> None:
            if not left:
                raise OSError(28, "full", str(path))
            left.pop()
            write(path, written)

        monkeypatch.setattr(module, "write_bytes", fail)
        with pytest.raises(OSError, match="full"):
            module.write_project(folder, "orders")

        assert folder.exists() is (existing is not None)
        assert existing is None or [path.name for path in folder.iterdir()] == existing


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the virtualenvs at hand; its tests have run, and its pipeline once."""
    folder = tmp_path_factory.mktemp("project")
    assert tiffin("init", folder / "orders")[0] == 0
    (folder / "venvs").mkdir()
    for name, place in {
        "sdk": sys.prefix,
        "data": find_environment("data"),
        "model": find_environment("model"),
    }.items():
        (folder / "venvs" / name).symlink_to(place)
    params = folder / "orders" / "params.yaml"
    params.write_text(params.read_text().replace("rows=3000", "rows=1500").replace("[64, 32]", "[8]"))
    done = make(folder / "orders", "test", "run")
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "orders"


def make(folder: Path, *targets: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", f"VENVS={folder.parent / 'venvs'}", *targets], cwd=folder, capture_output=True, text=True
    )


def trained(folder: Path) -> Path:
    """Return the newest model artifact."""
    return max(folder.glob(".tiffin/runs/*/artifacts/*/train-model/model"))


@pytest.mark.runs
class TestProject:
    def test_trains_its_model(self, project: Path) -> None:
        record = read_training(trained(project))

        assert record.own is not None
        assert (record.own.location, record.own.function) == ("model.py", "build_model")
        assert record.own.hyperparameters == {"units": [8], "dropout": 0.1}
        assert model_code(trained(project)).read_text() == (project / "model.py").read_text()

    def test_a_changed_model_is_trained_anew_and_its_error_is_told_once(self, project: Path) -> None:
        model = project / "model.py"
        before, runs = model.read_text(), set((project / ".tiffin" / "runs").iterdir())
        model.write_text(before.replace("    inputs = ", "    inputs = features.wdith\n    inputs = "))
        line = before[: before.index("    inputs = ")].count("\n") + 1
        command = ["run", "build/orders.yaml", "--params", "params.yaml", "--json", "--stop-server"]
        done = subprocess.run(
            [Path(sys.prefix, "bin", "tiffin"), *command], cwd=project, capture_output=True, text=True
        )
        model.write_text(before)
        summary = json.loads(done.stdout)
        [run] = set((project / ".tiffin" / "runs").iterdir()) - runs
        [log] = [Path(step["log"]) for step in summary["steps"] if step["name"] == "train-model"]

        assert (done.returncode, summary["state"]) == (1, "FAILED")
        assert f"'model.py' line {line}, `inputs = features.wdith`: AttributeError" in summary["reason"]
        assert len(re.findall("^error: ", log.read_text(), re.MULTILINE)) == 1
        assert "Traceback" not in log.read_text()
        assert not list(run.glob("artifacts/*/train-model/model/*"))
        assert {note["step"] for note in summary["notes"] if note["code"] == "REUSED"} == {"validate-examples"}
