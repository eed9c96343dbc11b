"""Models in serving roots for tests: versions with small files, and changes."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from support import gcs_emulator
from tiffin.governance.approval import nominate
from tiffin.governance.promotion import promoting
from tiffin.serving.history import Author, Lineage, Record, Rule, read_history
from tiffin.serving.root import ServedModel

ADA, BOB, EVE = (Author(name, "a test") for name in ("ada", "bob", "eve"))


@contextlib.contextmanager
def model_on(place: str, folder: Path) -> Iterator[ServedModel]:
    """Yield a model without files on local disk, below a folder, or on Cloud Storage.

    Args:
        place: `disk` or `bucket`.
        folder: Folder on local disk.
    """
    if place == "disk":
        yield ServedModel(str(folder / "root"), "taxi")
    else:
        with gcs_emulator.serve() as bucket:
            yield ServedModel(f"gs://{bucket.name}/root", "taxi")


def make_saved_model(folder: Path) -> Path:
    """Return a folder with the files of a SavedModel, which no server can load."""
    (folder / "saved_model" / "variables").mkdir(parents=True)
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (folder / "saved_model" / "variables" / "variables.index").write_bytes(b"weights")
    return folder / "saved_model"


def lineage(requested_by: str = "ada") -> Lineage:
    """Return the lineage of a version that somebody asked for."""
    return Lineage(requested_by, "d1", "s1", "0.1.0", label="tips", metric="log_loss", value=0.25)


def put(served: ServedModel, saved_model: Path, *versions: int, author: Author = ADA) -> None:
    """Publish and promote versions, one after the other."""
    for version in versions:
        served.publish(saved_model, version)
        with promoting(served, version, author, replace_newer=True):
            pass


def wait(
    served: ServedModel, saved_model: Path, version: int, rule: Rule, requested_by: str = "ada", keep_previous: int = 1
) -> None:
    """Publish a version and let it wait for approval."""
    served.publish(saved_model, version)
    nominate(served, version, ADA, rule, lineage(requested_by), "v1", keep_previous)


def newest(served: ServedModel) -> Record:
    """Return the newest record of a model."""
    record = read_history(served).newest
    assert record is not None
    return record


def actions(served: ServedModel) -> list[tuple[str, int | None]]:
    """Return the action and the version of each record."""
    return [(record.action, record.version) for record in read_history(served).records]
