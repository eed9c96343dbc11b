"""Columns of the examples that a user named."""

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest
from tiffin.errors import InputError, did_you_mean


def find_column(manifest: Manifest, name: str, label: str, parameter: str) -> Column:
    """Return a column of the examples by its name there or in the source.

    Raises:
        InputError: There is no such column, or it is the label.
    """
    columns = {column.name: column for column in manifest.columns}
    found = columns.get(name) or columns.get(manifest.final_name(name))
    if found is None:
        raise InputError(
            f"{parameter} should name columns of the examples: {', '.join(columns)}. "
            f"Received: '{name}'.{did_you_mean(name, columns)}"
        )
    if found.name == label:
        raise InputError(
            f"{parameter} should name columns other than the label: each group would have one value of it. "
            f"Received: '{name}'. Remove it."
        )
    return found
