"""The registration artifact: the version of a model in the registry, and what it carries."""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents

REGISTRATION = "registration.json"


@dataclass(frozen=True)
class Registration:
    """A registered model version.

    Attributes:
        name: Of the model.
        version: Its number in the registry.
        run_id: Of the MLflow run.
        data_version: Of the data that it was trained on.
        schema_digest: Of the schema.
        spec_version: Version of Tiffin that trained it.
    """

    name: str
    version: int
    run_id: str
    data_version: str
    schema_digest: str
    spec_version: str


def write_registration(artifact: str | Path, registration: Registration) -> None:
    """Write a registration artifact."""
    documents.write(Path(artifact) / REGISTRATION, registration)


def read_registration(artifact: str | Path) -> Registration:
    """Read a registration artifact.

    Raises:
        InputError: It is not there or holds something else.
    """
    return documents.read(Path(artifact) / REGISTRATION, Registration)
