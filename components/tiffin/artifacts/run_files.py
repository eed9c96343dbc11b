"""The files that the steps of a run wrote, found by name in its artifact store."""

from tiffin import storage

# Marks an artifact as a copy of what an earlier run wrote, see `tiffin.artifacts.reference`.
REFERENCE = "reference.json"


def find_files(run_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of the files with one of these names, without those beside a `reference.json`.

    Those are about the run that registered a model, and would be read as reports of this one.

    Args:
        run_uri: Path or URI of the artifacts of a run, or of one of its steps.
        names: Names of files; `reference.json` may be one of them.

    Raises:
        StorageError: The location cannot be listed.
    """
    found = storage.find(run_uri, names | {REFERENCE})
    copies = {_folder(uri) for uri in found if _name(uri) == REFERENCE}
    return [uri for uri in found if _name(uri) in names and (_name(uri) == REFERENCE or _folder(uri) not in copies)]


def _folder(uri: str) -> str:
    return uri.rpartition("/")[0]


def _name(uri: str) -> str:
    return uri.rpartition("/")[2]
