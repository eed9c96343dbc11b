"""Files of labels as DuckDB relations: Parquet by its name or its first bytes, and otherwise CSV, which gzip may compress."""

import csv
import glob
import gzip
from pathlib import Path

from tiffin.recipe.sql import escaped

_DELIMITERS = ",;\t|"


def relation_of(path: Path) -> str:
    """Return the SQL that reads a file; of CSV, every value as text.

    Raises:
        UnicodeDecodeError: The first line is not UTF-8.
        OSError: The file is no table.
    """
    name = escaped(glob.escape(str(path)))
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1" or path.name.lower().endswith((".parquet", ".pq")):
        return f"read_parquet('{name}', hive_partitioning=false)"
    header, delimiter = _header(path, packed=start[:2] == b"\x1f\x8b")
    types = ", ".join(f"'{escaped(column)}': 'VARCHAR'" for column in header)
    compressed = "gzip" if start[:2] == b"\x1f\x8b" else "none"
    return (
        f"read_csv('{name}', auto_detect=false, hive_partitioning=false, header=true, delim='{escaped(delimiter)}', "
        f"quote='\"', escape='\"', columns={{{types}}}, nullstr=[''], compression='{compressed}', store_rejects=true, "
        "rejects_limit=0)"
    )


def _header(path: Path, *, packed: bool) -> tuple[list[str], str]:
    """Return the names of the columns of a CSV file, and its delimiter.

    Raises:
        UnicodeDecodeError: The line is not UTF-8.
        OSError: The file is no table.
    """
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        try:
            line = file.readline(1 << 20).decode("utf-8-sig")
        except EOFError:
            raise OSError("the gzip file is cut short") from None
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader([line], delimiter=delimiter), [])
    if "\0" in line or not names or "" in names or len({*map(str.lower, names)}) < len(names):
        raise OSError("it is no CSV or Parquet: the first line has no names, or a name twice")
    return names, delimiter
