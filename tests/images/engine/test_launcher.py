"""Run steps as KFP's launcher does: volumes on a read-only root, artifacts downloaded before and uploaded after.

The launcher of KFP 2.17 passes the executor's input as JSON, maps object stores to folders (`minio://` to `/minio`, `s3://`
to `/s3`, `gs://` to `/gcs`), and reads outputs from files. A retry is a new pod with the same locations. The folder `store`
is the object store here.
"""

import json
import shutil
import subprocess
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.containers import tiffin
from support.docker_engine import find_client
from tiffin import __version__
from tiffin.artifacts.examples import read_manifest, shard_uris
from tiffin.artifacts.model import read_training, saved_model
from tiffin.artifacts.verdict import read_evaluation

ROOT = "minio://mlpipeline/v2/artifacts/training/run"
MOUNTED = ("minio", "s3", "gcs", ".local", ".cache", ".config", "tmp")


@dataclass
class Cluster:
    """The state that the pods of a run share.

    Attributes:
        folder: Parent folder of the volumes.
        spec: Compiled pipeline.
        artifacts: `step.name` -> artifact, as passed to later steps.
        parameters: `step.name` -> output parameter.
    """

    folder: Path
    spec: dict[str, Any]
    artifacts: dict[str, dict[str, Any]] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def run(self, step: str, given: dict[str, Any], artifacts: dict[str, str]) -> Path:
        """Run a step in a new pod and return the folder of the pod's volumes.

        Args:
            step: Step name, such as `train-model`.
            given: Parameters; defaults are added.
            artifacts: Name of an input artifact -> `step.name` of its source.
        """
        component = self.spec["components"][f"comp-{step}"]
        container = self.spec["deploymentSpec"]["executors"][f"exec-{step}"]["container"]
        declared = component["inputDefinitions"].get("parameters", {})
        values = {name: about["defaultValue"] for name, about in declared.items() if "defaultValue" in about} | given
        outputs = {
            name: {"name": name, "type": about["artifactType"], "uri": f"{ROOT}/{step}/{name}", "metadata": {}}
            for name, about in component["outputDefinitions"].get("artifacts", {}).items()
        }
        pod = self.folder / f"pod-{uuid.uuid4().hex[:8]}"
        for name in MOUNTED:
            (pod / name).mkdir(parents=True)
            # Any user may write to an emptyDir.
            (pod / name).chmod(0o777)
        for source in artifacts.values():
            self._copy(self.artifacts[source]["uri"], self.store, pod / "minio")
        for output in outputs.values():
            # The launcher runs as the image's user. It creates the parent folder of an artifact, not the artifact.
            parent = (pod / "minio" / output["uri"].removeprefix("minio://")).parent
            parent.mkdir(parents=True, exist_ok=True)
        for path in pod.rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o644)
        message = {
            "inputs": {
                "parameterValues": _as_go_writes(values),
                "artifacts": {name: {"artifacts": [self.artifacts[source]]} for name, source in artifacts.items()},
            },
            "outputs": {
                "parameters": {
                    name: {"outputFile": f"/tmp/kfp/outputs/{name}"}
                    for name in component["outputDefinitions"].get("parameters", {})
                },
                "artifacts": {name: {"artifacts": [output]} for name, output in outputs.items()},
                "outputFile": "/tmp/kfp_outputs/output_metadata.json",
            },
        }
        words = [*container["command"], *container["args"]]
        words = [word.replace("{{$}}", json.dumps(message)) for word in words]
        volumes = [f"--volume={pod / name}:/{name}" for name in MOUNTED]
        command = [
            find_client(), "run", "--rm", "--read-only", "--network=none", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", "--memory=4g", *volumes, container["image"], *words,
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        result = json.loads((pod / "tmp" / "kfp_outputs" / "output_metadata.json").read_text())
        for name, output in outputs.items():
            metadata = result["artifacts"][name]["artifacts"][0]["metadata"]
            self.artifacts[f"{step}.{name}"] = {**output, "metadata": metadata}
            self._copy(output["uri"], pod / "minio", self.store)
        self.parameters |= {f"{step}.{name}": value for name, value in result["parameterValues"].items()}
        return pod

    def _copy(self, uri: str, source: Path, target: Path) -> None:
        place = uri.removeprefix("minio://")
        if (source / place).is_dir():
            shutil.copytree(source / place, target / place, dirs_exist_ok=True)
        elif (source / place).exists():
            # A page for the dashboard. Metrics have no file: they are in the executor's output.
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / place, target / place)


def _as_go_writes(value: Any) -> Any:
    """Return a value as the backend writes it, in Go: whole floats become integers."""
    if isinstance(value, dict):
        return {name: _as_go_writes(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_as_go_writes(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@pytest.fixture(scope="module")
def cluster(images: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    folder = tmp_path_factory.mktemp("cluster")
    assert tiffin("compile", "training", "--output", "specs", cwd=folder).returncode == 0
    text = (folder / "specs" / f"training-{__version__}.yaml").read_text()
    found = Cluster(folder, next(yaml.safe_load_all(text)))
    data = {"data": "sample:deliveries?rows=2000"}
    found.run("ingest-examples", data, {})
    # A retry: another pod overwrites the outputs of the first.
    found.run("ingest-examples", data, {})
    examples = {"examples": "ingest-examples.examples"}
    found.run("validate-examples", {"label": "late"}, examples)
    found.run(
        "train-model",
        {"label": "late", "epochs": 1, "data_version": found.parameters["ingest-examples.data_version"]},
        {**examples, "statistics": "validate-examples.statistics", "schema": "validate-examples.schema"},
    )
    found.run("evaluate-model", {}, {**examples, "model": "train-model.model"})
    return found


def stored(cluster: Cluster, name: str) -> Path:
    return cluster.store / cluster.artifacts[name]["uri"].removeprefix("minio://")


def test_artifacts_of_each_step_are_stored(cluster: Cluster) -> None:
    manifest = read_manifest(stored(cluster, "ingest-examples.examples"))
    training = read_training(stored(cluster, "train-model.model"))
    evaluation = read_evaluation(stored(cluster, "evaluate-model.evaluation"))

    assert manifest.rows == cluster.parameters["ingest-examples.rows"]
    assert manifest.version == cluster.parameters["ingest-examples.data_version"] == training.data_version
    assert list(stored(cluster, "validate-examples.schema").iterdir())
    assert (saved_model(stored(cluster, "train-model.model")) / "saved_model.pb").is_file()
    assert evaluation.passed == cluster.parameters["evaluate-model.passed"]


def test_metadata_for_the_dashboard(cluster: Cluster) -> None:
    examples = cluster.artifacts["ingest-examples.examples"]

    assert examples["type"]["schemaTitle"] == "system.Dataset"
    assert examples["metadata"]["data_version"] == cluster.parameters["ingest-examples.data_version"]
    assert cluster.artifacts["evaluate-model.metrics"]["metadata"]["log_loss"] > 0


def test_shards_are_found_after_the_artifact_moved(cluster: Cluster) -> None:
    artifact = stored(cluster, "ingest-examples.examples")

    shards = [shard for split in ("train", "eval") for shard in shard_uris(artifact, split)]
    assert shards
    assert all(Path(shard).is_file() for shard in shards)


def test_steps_write_only_to_artifacts_and_tmp(cluster: Cluster) -> None:
    pods = sorted(cluster.folder.glob("pod-*"))

    assert len(pods) == 5
    for pod in pods:
        for name in ("s3", "gcs", ".local", ".cache", ".config"):
            assert list((pod / name).iterdir()) == []
