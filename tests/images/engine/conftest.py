"""Session fixtures: an engine, a registry, the images and training runs. Measurements are printed at the end."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

# Imported first: it sets the image prefix, which Tiffin reads on import.
from support.containers import FIGURES, environment_of_a_run, tiffin

# isort: split
from images import builder
from support import stand_in_base
from support.checkout import choose_lock, this_machine
from support.docker_engine import install_packages, running_engine
from support.waiting import free_port

ROOT = Path(__file__).parents[3]
TAXI = os.environ.get("TAXI_CSV")
SETTINGS = (
    {
        "data": TAXI,
        "derive": '{"big_tipper": "tips > 0.2 * fare"}',
        "exclude": '["tips"]',
        "label": "big_tipper",
    }
    if TAXI
    else {"data": "sample:deliveries", "label": "late"}
)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for name, figure in FIGURES.items():
        terminalreporter.write_line(f"{name}: {figure}")


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    started = time.monotonic()
    with running_engine() as address:
        FIGURES["engine, seconds"] = round(time.monotonic() - started, 1)
        yield address


@pytest.fixture(scope="session")
def images(engine: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Build both images as `make images` does, but in parallel."""
    started = time.monotonic()
    stand_in = stand_in_base.ensure_base()
    FIGURES["base"] = f"{'stand-in' if stand_in else 'official'}, {time.monotonic() - started:.1f} s"
    logs = tmp_path_factory.mktemp("builds")

    def build(environment: str) -> float:
        begun = time.monotonic()
        with (logs / f"{environment}.log").open("wb") as log:
            code = (
                "import sys; from pathlib import Path; from images import builder; "
                "builder.build(builder.find_program(), Path(sys.argv[1]), sys.argv[2])"
            )
            done = subprocess.run(
                [sys.executable, "-c", code, str(ROOT), environment], stdout=log, stderr=log, env=environment_of_a_run()
            )
        assert done.returncode == 0, (logs / f"{environment}.log").read_text()[-3000:]
        return time.monotonic() - begun

    names = builder.image_names()
    with ThreadPoolExecutor() as pool:
        for environment, seconds in zip(names, pool.map(build, names), strict=True):
            FIGURES[f"{environment}: build, seconds"] = round(seconds, 1)
    return names


@pytest.fixture(scope="session")
def registry(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start Debian's registry on a local port, for `make images-push`."""
    install_packages({"docker-registry": "docker-registry"})
    address = f"127.0.0.1:{free_port()}"
    folder = tmp_path_factory.mktemp("registry")
    config = folder / "config.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder / 'data'}}}}}\nhttp: {{addr: {address}}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=log, stderr=log)
    try:
        yield address
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder)


def train(folder: Path, *options: str, **variables: str) -> tuple[Path, dict[str, Any]]:
    """Run the training pipeline and return the folder and the summary."""
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    done = tiffin("run", "training", "--json", *options, *settings, cwd=folder, **variables)
    assert done.returncode == 0, done.stderr[-3000:]
    summary = json.loads(done.stdout)
    FIGURES[f"training {' '.join(options)}"] = {
        "seconds": summary["seconds"],
        "steps": {step["name"]: step["seconds"] for step in summary["steps"] if step["seconds"] is not None},
        "metrics": {name: value for name, value in summary["metrics"].items() if isinstance(value, float)},
    }
    return folder, summary


@pytest.fixture(scope="session")
def training(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run the training pipeline in the images."""
    return train(tmp_path_factory.mktemp("training"), "--docker")


@pytest.fixture(scope="session")
def compatible_training(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run the training pipeline in virtualenvs, with `data` from the compatibility lock."""
    venvs = ROOT / ".venvs"
    if choose_lock(*this_machine())[0] != "compatibility":
        venvs = venvs / "compatibility"
        subprocess.run(
            [ROOT / ".venvs/uv/bin/python", ROOT / "locks/sync.py", "--compatibility", venvs / "data"], check=True
        )
        install = ["pip", "install", "--quiet", "--no-deps", "--python", venvs / "data/bin/python", "--editable", ROOT]
        subprocess.run([ROOT / ".venvs/uv/bin/uv", *install], check=True)
        (venvs / "model").unlink(missing_ok=True)
        (venvs / "model").symlink_to(ROOT / ".venvs/model")
    folder = tmp_path_factory.mktemp("compatible")
    return train(folder, "--stop-server", TIFFIN_VENVS=str(venvs))
