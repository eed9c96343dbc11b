"""The reference artifact: what the monitoring of a registered model compares with.

reference.json     the version, and the digests of the other files
statistics.binpb   statistics of the data in training, see `tiffin.artifacts.statistics`
schema.pbtxt       its schema, see `tiffin.artifacts.schema`
verdict.json       metrics, calibration and distributions of the predictions, see `tiffin.artifacts.verdict`
training.json      record of the training, see `tiffin.artifacts.model`
manifest.json      columns and recipe of the data, without its rows, see `tiffin.artifacts.examples`

The stage `register` stores these files in the folder `reference` of the MLflow run, and the stage `monitor` fetches them. They
have the names that they have in the artifacts of their own, so the readers of those read them from the folder of this one. The
shards that manifest.json names are not in the folder.
"""

from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST
from tiffin.artifacts.model import TRAINING, Task
from tiffin.artifacts.notes import Note
from tiffin.artifacts.run_files import REFERENCE
from tiffin.artifacts.verdict import VERDICT

# The modules of these two import protobuf messages that not every environment has.
STATISTICS = "statistics.binpb"
SCHEMA = "schema.pbtxt"
# The files beside reference.json. A reference may lack any of them, but not both of training.json and verdict.json.
FILES = (STATISTICS, SCHEMA, VERDICT, TRAINING, MANIFEST)
# Folder in the artifacts of the MLflow run.
FOLDER = "reference"


@dataclass(frozen=True)
class Reference:
    """What the monitoring of a model version compares with.

    Attributes:
        model: Name of the registered model.
        version: Version number in the registry.
        run_id: ID of the MLflow run.
        tracking: MLflow's tracking URI, without secrets.
        data_version: Version of the training data.
        schema_digest: Digest of the schema in training; empty without training.json.
        label: Label column; empty without training.json.
        task: Task of the model.
        classes: Classes of the model; empty for regression.
        files: Name of each file beside this one to the SHA-256 of its content.
        notes: What is missing, and where the files are from if not from MLflow.
    """

    model: str
    version: int
    run_id: str
    tracking: str
    data_version: str
    schema_digest: str
    label: str
    task: Task
    classes: tuple[str, ...]
    files: dict[str, str]
    notes: tuple[Note, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the files that the reference lacks."""
        return tuple(name for name in FILES if name not in self.files)

    @property
    def has_statistics(self) -> bool:
        """Whether `read_statistics` can read the folder."""
        return STATISTICS in self.files

    @property
    def has_schema(self) -> bool:
        """Whether `read_schema` can read the folder."""
        return SCHEMA in self.files

    @property
    def has_evaluation(self) -> bool:
        """Whether `read_evaluation` can read the folder."""
        return VERDICT in self.files

    @property
    def has_training(self) -> bool:
        """Whether `read_training` can read the folder."""
        return TRAINING in self.files

    @property
    def has_examples(self) -> bool:
        """Whether `read_manifest` can read the folder."""
        return MANIFEST in self.files


def write_reference(artifact: str | Path, reference: Reference) -> None:
    """Write the reference.json of an artifact that has the other files."""
    documents.write(Path(artifact) / REFERENCE, reference)


def read_reference(artifact: str | Path) -> Reference:
    """Read the reference.json of an artifact.

    Raises:
        InputError: The file is missing or is not a reference document.
    """
    return documents.read(Path(artifact) / REFERENCE, Reference)
