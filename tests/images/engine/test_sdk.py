"""Install the package with pip in the base image and run its command line."""

import filecmp
import os
import shutil
from pathlib import Path

import pytest

from images import builder
from images.settings import MOUNTED, PROXIES, write_settings
from support.containers import PREFIX, docker, tiffin
from support.stand_in_base import ensure_base

ROOT = Path(__file__).parents[3]
# As in the Dockerfile, the base's pip installs into a virtualenv without pip: Debian's Python has no ensurepip.
INSTALL = """
set -eu
python3 -m venv --without-pip "$WORK/venv"
python3 -m pip --python "$WORK/venv/bin/python" --disable-pip-version-check install --quiet --no-cache-dir "$SOURCE$EXTRA"
"""
COMPILE = """
cd "$WORK"
venv/bin/tiffin compile --output specs
venv/bin/python -c "import tiffin.commands.predict, tiffin.commands.publish, tiffin.commands.schedule, tiffin.commands.submit"
venv/bin/python -c "from tiffin.serving import AsyncClient, Client"
chmod -R a+rwX specs
"""
BARE = """
cd "$WORK"
for arguments in "" "compile" "predict rows.csv"; do
  status=0
  venv/bin/tiffin $arguments || status=$?
  echo "status $status"
done
"""


def copy_source(folder: Path) -> Path:
    """Copy the sources of the package, so that the build does not write to the checkout."""
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    for name in ("components", "pipelines"):
        ignored = shutil.ignore_patterns("*.egg-info", "__pycache__")
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignored)
    return source


def run_in_base(folder: Path, script: str, extra: str) -> str:
    """Run a script in a container of the base image, with this machine's network and pip settings."""
    ensure_base()
    settings = folder / "settings"
    settings.mkdir()
    secrets = dict(
        argument.removeprefix("id=").split(",src=")
        for argument in write_settings(settings, ROOT)
        if argument.startswith("id=")
    )
    mounts = [f"--volume={copy_source(folder)}:/source", f"--volume={folder}:/out"]
    for name, target in (("pip", "/etc/pip.conf"), ("certificates", MOUNTED)):
        if name in secrets:
            mounts.append(f"--volume={Path(secrets[name]).resolve()}:{target}:ro")
    variables = {"SOURCE": "/source", "WORK": "/out", "EXTRA": extra, "TIFFIN_IMAGE_PREFIX": PREFIX}
    variables |= {name: os.environ[name] for name in PROXIES if name in os.environ}
    settings_of_run = [f"--env={name}={value}" for name, value in variables.items()]
    return docker(
        "run", "--rm", "--network=host", *mounts, *settings_of_run, builder.BASE, "sh", "-c", f"exec 2>&1\n{script}"
    )


@pytest.mark.usefixtures("engine")
def test_installed_sdk_compiles_the_same_specs(tmp_path: Path) -> None:
    run_in_base(tmp_path, INSTALL + COMPILE, "[sdk]")
    assert tiffin("compile", "--output", "expected", cwd=tmp_path).returncode == 0

    names = sorted(str(path.relative_to(tmp_path / "expected")) for path in (tmp_path / "expected").rglob("*.*"))
    found = sorted(str(path.relative_to(tmp_path / "specs")) for path in (tmp_path / "specs").rglob("*.*"))
    assert found == names
    assert any(name.startswith("training-") for name in names)
    files = [name for name in names if (tmp_path / "expected" / name).is_file()]
    assert filecmp.cmpfiles(tmp_path / "expected", tmp_path / "specs", files, shallow=False) == (files, [], [])


@pytest.mark.usefixtures("engine")
def test_command_without_extras_names_the_extra_to_install(tmp_path: Path) -> None:
    lines = run_in_base(tmp_path, INSTALL + BARE, "").splitlines()

    assert len(lines) == 6, lines
    for error, status in zip(lines[::2], lines[1::2], strict=True):
        assert error.startswith("error: ")
        assert "pip install 'tiffin[sdk]'" in error
        assert status == "status 1"
