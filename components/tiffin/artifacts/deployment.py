"""The deployment artifact: which version serves where."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

DEPLOYMENT = "deployment.json"


@dataclass(frozen=True)
class Deployment:
    """A model version in service.

    Attributes:
        model: Name.
        version: Number in the registry and on the server.
        address: `host:port` of the server's gRPC.
        config: Path or URI of the configuration that names it.
        answer: The server's answer to one row: output to value.
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
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / DEPLOYMENT, Deployment)
