"""The deployment artifact: the version that was put into service, or that waits for approval or for its rollout."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

DEPLOYMENT = "deployment.json"


@dataclass(frozen=True)
class Deployment:
    """A deployed model version.

    Attributes:
        model: Name of the model.
        version: Version number in the registry and on the server.
        address: `host:port` of the server's gRPC port; empty if the version waits for approval or for its rollout.
        config: Path or URI of the model config that loads it.
        answer: Prediction for one sample row: output name to value; empty without an address.
        waits_for: What is missing until the version is served, such as an approval; empty if nothing is.
        rollout: Strategy of the rollout that puts it into service; empty without one.
        notes: What was decided for the user.
    """

    model: str
    version: int
    address: str
    config: str
    answer: dict[str, object]
    waits_for: str = ""
    rollout: str = ""
    notes: tuple[Note, ...] = ()


def write_deployment(artifact: str | Path, deployment: Deployment) -> None:
    """Write a deployment artifact."""
    documents.write(Path(artifact) / DEPLOYMENT, deployment)


def read_deployment(artifact: str | Path) -> Deployment:
    """Read a deployment artifact.

    Raises:
        InputError: The file is missing or is not a deployment document.
    """
    return documents.read(Path(artifact) / DEPLOYMENT, Deployment)
