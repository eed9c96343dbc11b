"""Labels as the model has them: the index of a class, or a finite number."""

from collections.abc import Sequence

from tiffin.artifacts.model import class_name
from tiffin.errors import InputError
from tiffin.performance.answers import Answers
from tiffin.performance.workspace import Workspace

# Different labels that are looked at; a classification has fewer.
_MOST_LABELS = 100_000
_BOOLEANS = {"false": "0", "true": "1"}


def add_truth(workspace: Workspace, answers: Answers, classes: Sequence[str]) -> tuple[int, str]:
    """Add the column `truth` to the table `labelled`; null for a label that is none of the model.

    Args:
        workspace: The workspace with the table.
        answers: The answers.
        classes: Classes of the model in the order of its outputs. Defaults to 0, 1 and so on.

    Returns:
        The number of answers with such a label, and an example.

    Raises:
        InputError: The number of classes is not that of the answers.
    """
    if answers.task == "regression":
        truth = "CASE WHEN isfinite(TRY_CAST(label AS DOUBLE)) THEN TRY_CAST(label AS DOUBLE) END"
        workspace.connection.execute(f"CREATE OR REPLACE TABLE labelled AS SELECT *, {truth} AS truth FROM labelled")
    else:
        number = 2 if answers.task == "binary" else answers.width
        codes = _codes(classes or [str(place) for place in range(number)], number)
        workspace.connection.execute("CREATE TABLE codes (label VARCHAR, truth INTEGER)")
        found = workspace.fetch(f"SELECT DISTINCT label FROM labelled LIMIT {_MOST_LABELS}")
        known = [(label, codes[_plain(label, codes)]) for (label,) in found if _plain(label, codes) in codes]
        if known:
            workspace.connection.executemany("INSERT INTO codes VALUES (?, ?)", known)
        workspace.connection.execute(
            "CREATE OR REPLACE TABLE labelled AS SELECT l.*, c.truth FROM labelled l LEFT JOIN codes c USING (label)"
        )
    invalid, example = workspace.fetch("SELECT count(*), min(label) FROM labelled WHERE truth IS NULL")[0]
    return invalid, example or ""


def _codes(classes: Sequence[str], number: int) -> dict[str, int]:
    names = [_whole(name) for name in classes]
    if len(set(names)) != number:
        raise InputError(
            f"classes should be the {number} classes of the model. Received: {len(set(names))}: {', '.join(names[:10])}."
        )
    return {name: place for place, name in enumerate(names)}


def _plain(label: str, codes: dict[str, int]) -> str:
    """Return the class of a label: a boolean is 0 or 1, where these are the classes."""
    return label if label in codes else _BOOLEANS.get(label.lower(), label)


def _whole(name: str) -> str:
    """Return a class as labels have it: `1.0` and `1` are the same."""
    try:
        return class_name(float(name)) if name.rstrip("0").endswith(".") else name
    except ValueError:
        return name
