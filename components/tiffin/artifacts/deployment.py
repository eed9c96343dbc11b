"""The deployment artifact: the deployed version and its address."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

DEPLOYMENT = "deployment.json"


@dataclass(frozen=True)
class Deployment:
    """A deployed model version.

    Attributes:
        model: Name of the model.
        version: Version number in the registry and on the server.
        address: `host:port` of the server's gRPC port.
        config: Path or URI of the model config that loads it.
        answer: Prediction for one sample row: output name to value.
    """

    model: str
    version: int
    address: str
    config: str
    answer: dict[str, object]


def write_deployment(artifact: str | Path, deployment: Deployment) -> None:
    """Write a deployment artifact."""
    documents.write(Path(artifact) / DEPLOYMENT, deployment)


def read_deployment(artifact: str | Path) -> Deployment:
    """Read a deployment artifact.

    Raises:
        InputError: The file is missing or is not a deployment document.
    """
    return documents.read(Path(artifact) / DEPLOYMENT, Deployment)
