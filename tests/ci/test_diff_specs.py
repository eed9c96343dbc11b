"""`.ci/diff-specs` in a clone of this repository, with a release of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def diff_specs(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([folder / ".ci" / "diff-specs"], capture_output=True, text=True)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with one commit, without tags, and with this checkout's environments and script."""
    folder = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("components", "pipelines", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    (folder / ".venvs").symlink_to(ROOT / ".venvs")
    return folder


def compile_specs(folder: Path) -> None:
    program = "import sys; from tiffin.cli import main; main(sys.argv[1:])"
    source = folder / "source"
    shutil.copytree(folder / "components", source)
    shutil.copytree(folder / "pipelines", source / "tiffin" / "pipelines")
    subprocess.run(
        [ROOT / ".venvs/sdk/bin/python", "-c", program, "compile", "--output", str(folder / "build")],
        env=os.environ | {"PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)


def test_without_specs_it_says_what_to_run(clone: Path) -> None:
    done = diff_specs(clone)

    assert (done.returncode, "Run make compile first" in done.stderr) == (2, True)


def test_without_a_release_every_spec_is_new(clone: Path) -> None:
    (clone / "build").mkdir()
    done = diff_specs(clone)

    assert (done.returncode, "Nothing is released yet" in done.stdout) == (0, True), done.stderr


def test_a_history_that_is_cut_off_is_refused(clone: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", "shallow")
    (tmp_path / "shallow" / "build").mkdir()
    done = diff_specs(tmp_path / "shallow")

    assert (done.returncode, "Fetch all of it" in done.stderr) == (2, True)


def test_it_compares_with_the_newest_release_under_the_same_names(clone: Path) -> None:
    git(clone, "tag", "v0.0.9")
    git(clone, "tag", "v0.0.10")
    compile_specs(clone)
    (spec,) = (clone / "build").glob("training-*.yaml")
    spec.with_name("training-7.0.0.yaml").write_text(spec.read_text().replace("AdamW", "Adam"))
    spec.unlink()

    done = diff_specs(clone)

    assert done.returncode == 0, done.stderr
    headers = [line.split("\t")[0] for line in done.stdout.splitlines() if line.startswith(("--- ", "+++ "))]
    assert headers == ["--- v0.0.10/training.yaml", "+++ now/training.yaml"], done.stdout
    assert any(line.startswith("+") and "Of Adam." in line for line in done.stdout.splitlines())
