"""`.ci/diff-specs` in a copy of this repository with its own releases."""

import hashlib
import os
import shutil
import subprocess
import zipfile
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
    """A repository with one commit, no tags, and this checkout's environments and script."""
    folder = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ("components", "pipelines", "locks", ".ci"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored, symlinks=True)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "first")
    (folder / ".venvs").mkdir()
    for name in ("sdk", "uv"):
        (folder / ".venvs" / name).symlink_to(ROOT / ".venvs" / name)
    return folder


def compile_specs(folder: Path) -> None:
    program = "import sys; from tiffin.commands.main import main; main(sys.argv[1:])"
    source = folder / "source"
    shutil.copytree(folder / "components", source)
    subprocess.run(
        [ROOT / ".venvs/sdk/bin/python", "-c", program, "compile", "--output", str(folder / "build")],
        env=os.environ | {"PYTHONPATH": str(source)},
        check=True,
        capture_output=True,
    )
    shutil.rmtree(source)


def write_kfp(folder: Path, version: str) -> str:
    """Write a wheel of a stand-in for kfp that has only a version, and return its lock."""
    wheel = folder / f"kfp-{version}-py3-none-any.whl"
    about = f"kfp-{version}.dist-info"
    files = {
        "kfp.py": f'__version__ = "{version}"\n',
        f"{about}/METADATA": f"Metadata-Version: 2.1\nName: kfp\nVersion: {version}\n",
        f"{about}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        archive.writestr(f"{about}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{about}/RECORD"]))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return f"--no-index\n--find-links {folder}\nkfp=={version} --hash=sha256:{digest}\n"


# A release whose specs contain the version of kfp that compiled them, like real specs.
RELEASE = """
import pathlib
import kfp

def main(arguments):
    folder = pathlib.Path(arguments[arguments.index("--output") + 1])
    (folder / "components").mkdir(parents=True)
    (folder / "training-0.0.9.yaml").write_text(f"sdkVersion: kfp-{kfp.__version__}\\n")
"""


def test_a_release_is_compiled_by_its_own_kfp(clone: Path, tmp_path: Path) -> None:
    (clone / "locks" / "sdk.txt").write_text(write_kfp(tmp_path, "1.2.3"))
    (clone / "components" / "tiffin" / "commands" / "main.py").write_text(RELEASE)
    git(clone, "commit", "--quiet", "--all", "--message", "release")
    git(clone, "tag", "v0.0.9")
    shutil.copy(ROOT / "locks" / "sdk.txt", clone / "locks")
    (clone / "build" / "components").mkdir(parents=True)
    (clone / "build" / "training-0.1.0.yaml").write_text("sdkVersion: kfp-2.17.0\n")

    first, second = diff_specs(clone), diff_specs(clone)

    assert first.returncode == second.returncode == 0, first.stderr
    assert "-sdkVersion: kfp-1.2.3\n+sdkVersion: kfp-2.17.0\n" in first.stdout
    assert "v0.0.9" in first.stderr
    assert second.stderr == "", "the environment is kept"


def test_two_versions_of_a_spec_are_refused(clone: Path) -> None:
    git(clone, "tag", "v0.0.9")
    compile_specs(clone)
    (spec,) = (clone / "build").glob("training-*.yaml")
    shutil.copy(spec, spec.with_name("training-0.0.8.yaml"))

    done = diff_specs(clone)

    assert done.returncode == 2
    assert "training.yaml" in done.stderr
    assert "`make compile`" in done.stderr


def test_without_specs_the_error_names_the_command(clone: Path) -> None:
    done = diff_specs(clone)

    assert (done.returncode, "`make compile`" in done.stderr) == (2, True)


def test_without_a_release_every_spec_is_new(clone: Path) -> None:
    (clone / "build").mkdir()
    done = diff_specs(clone)

    assert (done.returncode, "v*" in done.stdout) == (0, True), done.stderr


def test_a_shallow_clone_is_refused(clone: Path, tmp_path: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{clone}", "shallow")
    (tmp_path / "shallow" / "build").mkdir()
    done = diff_specs(tmp_path / "shallow")

    assert (done.returncode, "--unshallow --tags" in done.stderr) == (2, True)


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
    assert any(line.startswith("+") and "Adam" in line and "AdamW" not in line for line in done.stdout.splitlines())
