"""What the Makefile decides by where and by whom it is called, as `make --dry-run` shows it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A Makefile whose environments are there, and newer than all that they are made from."""
    folder = tmp_path / "checkout"
    shutil.copytree(ROOT / "locks", folder / "locks")
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for environment in ("sdk", "data", "model", "gateway", "dev", "notebooks"):
        made = folder / ".venvs" / environment
        made.mkdir(parents=True)
        (made / "bin").symlink_to(ROOT / ".venvs" / environment / "bin")
        for stamp in (".synced", ".ready"):
            (made / stamp).touch()
    (folder / ".venvs" / "uv").symlink_to(ROOT / ".venvs" / "uv")
    return folder


def lines(checkout: Path, *arguments: str, path: str = "") -> str:
    done = subprocess.run(
        ["make", "--dry-run", *arguments],
        cwd=checkout,
        env={"PATH": path + "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_images_train_on_the_taxi_trips_where_they_are(checkout: Path) -> None:
    assert "TAXI_CSV" not in lines(checkout, "test-images")

    trips = checkout.parent / "shared" / "data" / "chicago_taxi.csv"
    trips.parent.mkdir(parents=True)
    trips.touch()

    assert f"TAXI_CSV={trips} " in lines(checkout, "test-images")
    assert f"TAXI_CSV={checkout}/mine.csv " in lines(checkout, "test-images", "TAXI=mine.csv")
    assert "TAXI_CSV" not in lines(checkout, "test-images", "TAXI=")


@pytest.mark.parametrize(("uid", "allowed"), [(0, True), (1000, False)])
def test_jupyter_is_told_that_root_means_it(checkout: Path, tmp_path: Path, uid: int, allowed: bool) -> None:
    identity = tmp_path / "bin" / "id"
    identity.parent.mkdir()
    identity.write_text(f"#!/bin/sh\necho {uid}\n")
    identity.chmod(0o755)

    assert ("--allow-root" in lines(checkout, "notebooks", path=f"{identity.parent}:")) is allowed


def test_specs_of_another_version_go_and_digests_stay(checkout: Path) -> None:
    stale = ["build/training-0.0.1.yaml", "build/components/gone/component.yaml"]
    kept = ["build/images/digests.json"]
    for name in stale + kept:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).touch()

    subprocess.run(["make", "compile"], cwd=checkout, check=True, capture_output=True)

    assert [name for name in stale + kept if (checkout / name).exists()] == kept
    assert len(list((checkout / "build").glob("training-*.yaml"))) == 1


@pytest.mark.parametrize("environment", ["data", "model"])
def test_packages_of_the_tests_are_installed_with_their_hashes(checkout: Path, environment: str) -> None:
    [line] = [
        line
        for line in lines(checkout, f".venvs/{environment}/.tested").splitlines()
        if f"--test-lock {environment})" in line
    ]

    assert "--require-hashes" in line
    assert f"--python .venvs/{environment}/bin/python " in line


UV = r"""#!/bin/sh
echo "uv $*" >>log
for folder; do :; done
[ "$1" = venv ] || exit 0
mkdir -p $folder/bin
printf '#!/bin/sh\necho "tests $0" >>log\n%s\n' "case \$0 in */data/*) exit 1 ;; esac" >$folder/bin/python
chmod +x $folder/bin/python
"""


@pytest.mark.parametrize(("target", "resolution"), [("newest", "highest"), ("lowest", "lowest-direct")])
def test_the_bounds_are_tested_in_every_environment(checkout: Path, target: str, resolution: str) -> None:
    uv = checkout / "uv"
    uv.write_text(UV)
    uv.chmod(0o755)
    done = subprocess.run(
        ["make", f"test-{target}", f"UV={uv}", "SYNC=echo python3"],
        cwd=checkout,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    calls = (checkout / "log").read_text().splitlines()

    # The tests of `data` fail in this test: those of `model` run nevertheless, and make fails.
    assert done.returncode == 2, done.stdout + done.stderr
    assert [call.split("/")[-3] for call in calls if call.startswith("tests ")] == ["dev", "data", "model", "gateway"]
    for name in ("dev", "data", "model", "gateway"):
        [install] = [call.split() for call in calls if f" .[{name}] " in call]
        assert install[install.index("--resolution") + 1] == resolution
        assert f".venvs/{target}/{name}/bin/python" in install
        assert "--upgrade" in install
        assert not any(word.startswith("locks/") and word.endswith(".txt") for word in install)
