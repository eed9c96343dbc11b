"""User, labels, size, start time and contents of the images."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from images import builder
from support import faulty_pipelines as faulty
from support.containers import FIGURES, docker, environment_of_a_run, inspect, tiffin
from support.docker_engine import find_client
from tiffin import __version__
from tiffin.images import USER

ENVIRONMENTS = ["data", "gateway", "model"]
# First imports of each image's components.
IMPORTS = {
    "data": (
        "kfp.dsl.executor_main",
        "pyarrow.parquet",
        "tiffin.validation.tfdv",
        "tiffin.stages.validate.validation",
    ),
    "gateway": ("pyarrow.parquet", "tiffin.gateway.following", "tiffin.recorder.program"),
    "model": ("kfp.dsl.executor_main", "pyarrow.parquet", "tensorflow", "keras", "tiffin.stages.train.training"),
}
TIMED = """
import importlib, sys, time
began = time.perf_counter(), time.process_time()
shares = {}
for name in sys.argv[1:]:
    start = time.perf_counter()
    importlib.import_module(name)
    shares[name] = round(time.perf_counter() - start, 2)
print("first line", round(time.process_time(), 2), shares, flush=True)
"""


def inside(image: str, *command: str) -> str:
    return docker("run", "--rm", "--read-only", "--tmpfs=/tmp", "--network=none", "--memory=2g", image, *command)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_image_has_user_and_labels(images: dict[str, str], environment: str) -> None:
    about = inspect(images[environment])["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in about["Labels"].items()}

    assert about["User"] == f"{USER}:{USER}"
    assert not about["Entrypoint"]
    assert (labels["title"], labels["version"]) == (f"tiffin/{environment}", __version__)
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert labels["base.name"] == builder.BASE
    assert "source" in labels


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_image_size_is_at_most_2_1_gb(images: dict[str, str], environment: str) -> None:
    size = inspect(images[environment])["Size"]

    FIGURES[f"{environment}: unpacked, GB"] = round(size / 1e9, 3)
    assert size <= 2.1e9


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_image_has_no_compilers_or_caches(images: dict[str, str], environment: str) -> None:
    found = inside(
        images[environment], "sh", "-c",
        "for name in gcc g++ cc c++ clang ld as make uv; do command -v $name; done; "
        "ls -d /build /package /root/.cache /tmp/.cache /opt/tiffin/bin/pip* /run/secrets/* 2>/dev/null; "
        "ls /var/lib/apt/lists /var/cache/apt/archives/*.deb 2>/dev/null | grep -v -e partial -e lock; true",
    )  # fmt: skip

    assert [line for line in found.splitlines() if line.strip() and not line.startswith("/var/lib/apt/lists")] == []


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_bytecode_is_compiled_and_unchecked(images: dict[str, str], environment: str) -> None:
    program = (
        "import importlib.util, pathlib, tiffin, numpy\n"
        "for module in (tiffin, numpy):\n"
        "    head = pathlib.Path(module.__cached__).read_bytes()[:8]\n"
        "    print(head[:4] == importlib.util.MAGIC_NUMBER, int.from_bytes(head[4:], 'little'))"
    )

    assert inside(images[environment], "python3", "-c", program).splitlines() == ["True 1", "True 1"]


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_start_and_imports_take_at_most_12_cpu_seconds(images: dict[str, str], environment: str) -> None:
    command = [
        find_client(),
        "run",
        "--rm",
        "--read-only",
        "--tmpfs=/tmp",
        "--memory=2g",
        "--env=_KFP_RUNTIME=true",
        images[environment],
    ]
    # The first start reads the image from disk. Only the second is measured.
    for _ in range(2):
        started = time.monotonic()
        with subprocess.Popen(
            [*command, "python3", "-c", TIMED, *IMPORTS[environment]],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("first line"):
                    break
            seconds = time.monotonic() - started
        assert line.startswith("first line"), lines

    _, _, cpu, shares = line.split(" ", 3)
    FIGURES[f"{environment}: start to first line, seconds"] = f"{seconds:.1f} (CPU {cpu}; {shares.strip()})"
    # Limit for two idle cores. CPU time does not depend on the load of the machine.
    assert float(cpu) <= 12


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_bill_of_materials_lists_all_packages(images: dict[str, str], environment: str, tmp_path: Path) -> None:
    file = tmp_path / "bill.json"
    builder.copy_materials([find_client()], images[environment], file)
    bill = json.loads(file.read_text())
    program = "import importlib.metadata as m; print(*sorted({d.name for d in m.distributions()}))"
    installed = inside(images[environment], "python3", "-c", program).split()
    packages = inside(images[environment], "dpkg-query", "--show", "--showformat", "${Package}\n").split()

    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    purls = [component["purl"] for component in bill["components"]]
    assert len(purls) == len(set(purls))
    assert sum(purl.startswith("pkg:deb/") for purl in purls) == len(packages)
    named = {component["name"] for component in bill["components"] if component["purl"].startswith("pkg:pypi/")}
    normal = {re.sub(r"[-_.]+", "-", name).lower() for name in installed}
    # The official base has its own Python with pip; the stand-in's Python is a Debian package.
    assert named - normal <= ({"pip", "setuptools", "wheel"} if "python3.13-minimal" not in packages else set())
    assert normal <= named
    numpy = next(component for component in bill["components"] if component["name"] == "numpy")
    lock = Path(__file__).parents[3].joinpath("locks", f"{environment}.txt").read_text()
    assert f"numpy=={numpy['version']} " in lock
    assert all(entry["value"] in lock for entry in numpy["properties"])


def test_pushed_images_are_pinned_by_digest(images: dict[str, str], registry: str, tmp_path: Path) -> None:
    prefix = f"{registry}/tiffin"
    settings = environment_of_a_run(TIFFIN_IMAGE_PREFIX=prefix)
    for name in images.values():
        docker("tag", name, name.replace("localhost/tiffin", prefix))
    for action in ("push", "digests"):
        subprocess.run([sys.executable, "-m", "images", action], cwd=tmp_path, env=settings, check=True)
    digests = json.loads((tmp_path / "build" / "images" / "digests.json").read_text())

    assert list(digests) == [f"{prefix}/{environment}:{__version__}" for environment in ENVIRONMENTS]
    for environment, (name, digest) in zip(ENVIRONMENTS, digests.items(), strict=True):
        address = f"http://{registry}/v2/tiffin/{environment}/manifests/{digest}"
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        with urllib.request.urlopen(urllib.request.Request(address, headers=accept)) as answer:
            size = sum(layer["size"] for layer in json.load(answer)["layers"])
        FIGURES[f"{environment}: compressed, MB"] = round(size / 1e6, 1)
        assert size <= 750e6, name

    pinned = {"TIFFIN_IMAGE_PREFIX": prefix, "TIFFIN_IMAGE_DIGESTS": str(tmp_path / "build/images/digests.json")}
    assert tiffin("compile", "--output", "specs", cwd=tmp_path, **pinned).returncode == 0
    spec = yaml.safe_load((tmp_path / "specs" / f"training-{__version__}.yaml").read_text().split("\n---\n")[0])
    executors = spec["deploymentSpec"]["executors"].values()
    # No step runs in the image of the gateway.
    steps = {f"{one}@{its}" for one, its in digests.items() if "/gateway:" not in one}
    assert {executor["container"]["image"] for executor in executors} == steps

    name, digest = next(iter(digests.items()))
    faulty.write_spec(faulty.fail_or_report, tmp_path, image=f"{name}@{digest}")
    done = tiffin("run", "faulty.yaml", "--docker", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    for name in digests:
        docker("rmi", name)


def test_digests_require_pushed_images(images: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "images", "digests"],
        cwd=tmp_path,
        env=environment_of_a_run(),
        capture_output=True,
        text=True,
    )

    assert done.returncode == 1
    assert "localhost/tiffin/" in done.stderr
    assert "make images-push" in done.stderr
