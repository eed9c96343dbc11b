"""A DuckDB database in a temporary folder, with bounded memory, in which labels and logged answers are joined."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from tiffin.recipe.sql import escaped

MEMORY_MIB = 512
_THREADS = 2
# Rows of a row group of the files in the folder, and rows that are read at once.
BATCH_ROWS = 65_536


@dataclass(frozen=True)
class Workspace:
    """A database, and the folder that it and its files are in.

    Attributes:
        connection: Connection to the database.
        folder: Folder, which is removed in the end.
    """

    connection: duckdb.DuckDBPyConnection
    folder: Path

    def fetch(self, query: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Return the rows of a query that has few of them."""
        rows: list[tuple[Any, ...]] = self.connection.execute(query, values).fetchall()
        return rows

    def write(self, query: str, name: str) -> Path:
        """Write the rows of a query to a Parquet file of the folder, and return its path.

        Args:
            query: A SELECT without parameters.
            name: Name of the file.
        """
        path = self.folder / name
        self.connection.execute(f"COPY ({query}) TO '{escaped(path)}' (FORMAT parquet, ROW_GROUP_SIZE {BATCH_ROWS})")
        return path


@contextlib.contextmanager
def open_workspace(memory_mib: int = MEMORY_MIB) -> Iterator[Workspace]:
    """Open an empty workspace; it and everything in it is removed in the end.

    Args:
        memory_mib: Memory of DuckDB in MiB; what does not fit is on disk, in the folder for temporary files. Defaults to 512.
    """
    with tempfile.TemporaryDirectory(prefix="tiffin-") as name:
        folder = Path(name)
        with duckdb.connect(str(folder / "joining.duckdb"), config={"threads": _THREADS}) as connection:
            connection.execute(
                # The progress bar would mix with the output of the step.
                "SET enable_progress_bar = false; SET TimeZone = 'UTC'; SET preserve_insertion_order = false; "
                f"SET memory_limit = '{memory_mib}MiB'; SET temp_directory = '{escaped(folder / 'spilled')}'"
            )
            yield Workspace(connection, folder)
