"""The registration artifact: a model version in the registry, and its lineage."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

REGISTRATION = "registration.json"


@dataclass(frozen=True)
class Registration:
    """A registered model version.

    Attributes:
        name: Name of the registered model.
        version: Version number in the registry.
        run_id: ID of the MLflow run.
        data_version: Version of the training data.
        schema_digest: Digest of the schema.
        spec_version: Version of Tiffin that trained the model.
        model_id: ID of the logged model in MLflow: `models:/<model_id>` is its URI there.
    """

    name: str
    version: int
    run_id: str
    data_version: str
    schema_digest: str
    spec_version: str
    model_id: str = ""


def write_registration(artifact: str | Path, registration: Registration) -> None:
    """Write a registration artifact."""
    documents.write(Path(artifact) / REGISTRATION, registration)


def read_registration(artifact: str | Path) -> Registration:
    """Read a registration artifact.

    Raises:
        InputError: The file is missing or is not a registration document.
    """
    return documents.read(Path(artifact) / REGISTRATION, Registration)
