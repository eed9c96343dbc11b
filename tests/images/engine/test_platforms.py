"""TFDV 1.21 in the images and TFDV 1.16 on older machines give the same statistics, schema, anomalies and metrics."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.containers import FIGURES, docker

ROOT = Path(__file__).parents[3]
Run = tuple[Path, dict[str, Any]]


def artifact(run: Run, step: str, name: str) -> Path:
    return next(run[0].rglob(f"{step}/{name}"))


def test_the_data_image_has_the_new_tfdv_and_a_safe_pyarrow(images: dict[str, str]) -> None:
    program = "import importlib.metadata as m; print(m.version('tensorflow-data-validation'), m.version('pyarrow'))"
    tfdv, pyarrow = docker("run", "--rm", "--network=none", images["data"], "python3", "-c", program).split()

    FIGURES["data: TFDV, pyarrow"] = f"{tfdv}, {pyarrow}"
    assert tfdv.startswith("1.21.")
    assert int(pyarrow.split(".")[0]) >= 21


def test_statistics_are_equal_but_for_rounding(training: Run, compatible_training: Run) -> None:
    program = ROOT / "tests" / "support" / "statistics_comparison.py"
    places = [artifact(run, "validate-examples", "statistics") for run in (training, compatible_training)]
    done = subprocess.run(
        [ROOT / ".venvs/model/bin/python", program, *places], capture_output=True, text=True, check=True
    )
    difference = json.loads(done.stdout)

    FIGURES["TFDV 1.21 and 1.16"] = difference
    assert difference["values"] > 100
    assert difference["other"] == []
    # Floats are summed in a different order.
    assert difference["relative"] <= 1e-12


@pytest.mark.parametrize(("name", "file"), [("schema", "schema.pbtxt"), ("anomalies", "anomalies.json")])
def test_schema_and_anomalies_have_the_same_bytes(
    training: Run, compatible_training: Run, name: str, file: str
) -> None:
    one, other = (
        (artifact(run, "validate-examples", name) / file).read_bytes() for run in (training, compatible_training)
    )

    assert one == other


def test_the_data_version_and_the_metrics_are_equal(training: Run, compatible_training: Run) -> None:
    inside, outside = training[1], compatible_training[1]

    assert inside["data_version"] == outside["data_version"]
    assert set(inside["metrics"]) == set(outside["metrics"])
    for name, value in inside["metrics"].items():
        assert value == pytest.approx(outside["metrics"][name], abs=1e-6), name
