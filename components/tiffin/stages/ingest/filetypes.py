"""Recognise files by their first bytes: compression, and formats that are not read."""

import bz2
import contextlib
import gzip
import json
import lzma
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import InputError

HEAD_BYTES = 1 << 20

# First bytes of files that Python's standard library decompresses.
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"\xfd7zXZ\0": lzma.open}
_OPENERS |= {b"BZh%d1AY&SY" % level: bz2.open for level in range(1, 10)}
_LONGEST = 10
_AS_PARQUET = "Convert it to CSV or Parquet, for example with pandas: {}."
_UNPACK = "Unpack it and pass the folder."
_EXPORT = "Export the table to CSV."
# First bytes, name of the format, and what to do.
_FORMATS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a ZIP archive", _UNPACK),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", "Save the sheet as CSV."),
    (b"ARROW1", "an Arrow or Feather file", _AS_PARQUET.format("pandas.read_feather(path).to_parquet(new_path)")),
    (b"FEA1", "a Feather file", _AS_PARQUET.format("pandas.read_feather(path).to_parquet(new_path)")),
    (b"ORC", "an ORC file", _AS_PARQUET.format("pandas.read_orc(path).to_parquet(new_path)")),
    (b"Obj\x01", "an Avro file", "Convert it to CSV or Parquet."),
    (b"SQLite format 3\0", "an SQLite database", _EXPORT),
    (b"\x93NUMPY", "a NumPy array", _AS_PARQUET.format("pandas.DataFrame(numpy.load(path)).to_csv(new_path, index=False)")),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_PARQUET.format("pandas.read_hdf(path).to_parquet(new_path)")),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "Decompress it: zstd -d {name}."),
    (b"\x04\x22\x4d\x18", "compressed with LZ4", "Decompress it: lz4 -d {name}."),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (b"%PDF-", "a PDF document", _EXPORT),
    (b"RDX", "an R data file", "In R, write it with write.csv(data, file, row.names = FALSE)."),
    (b"$FL2", "an SPSS file", _AS_PARQUET.format("pandas.read_spss(path).to_parquet(new_path)")),
    (b"<stata_dta>", "a Stata file", _AS_PARQUET.format("pandas.read_stata(path).to_parquet(new_path)")),
    (b"\x89PNG\r\n", "a PNG image", "Pass a table."),
    (b"\xff\xd8\xff", "a JPEG image", "Pass a table."),
)  # fmt: skip
_CONTROL = re.compile(rb"[\0-\x08]")
# The same for formats that a pattern tells, after white space.
_TEXTS = (
    (re.compile(rb"\x80[\x02-\x05]"), "a Python pickle", "Write the table with pandas: to_parquet(new_path)."),
    (
        re.compile(rb"(%.*\n|\s)*@relation\b", re.IGNORECASE),
        "an ARFF file",
        "Remove the lines above the rows, save it as CSV, and set header=no and column_names.",
    ),
    (
        re.compile(rb"<(!doctype html|html)", re.IGNORECASE),
        "an HTML page",
        "Check that the download did not return a page for signing in, or export the table to CSV.",
    ),
    (re.compile(rb"<(\?xml|!doctype|[a-z][\w:.-]*[\s/>])", re.IGNORECASE), "XML", _EXPORT),
)


def open_bytes(path: Path) -> Any:
    """Open a file for reading bytes; decompress gzip, bzip2 and xz, which the first bytes tell."""
    with path.open("rb") as file:
        start = file.read(_LONGEST)
    opener = _opener(start) or (gzip.open if path.name.lower().endswith(".gz") else None)
    return opener(path, "rb") if opener else path.open("rb")


def compression(path: Path) -> str:
    """Return `.gz`, `.bz2` or `.xz`, or an empty text for a file that is not compressed."""
    with path.open("rb") as file:
        opener = _opener(file.read(_LONGEST))
    return {gzip.open: ".gz", bz2.open: ".bz2", lzma.open: ".xz"}[opener] if opener else ""


def read_head(path: Path, uri: str) -> bytes:
    """Return the first megabyte of a file, decompressed.

    Raises:
        InputError: The compressed data is damaged.
    """
    with explained_compression(uri), open_bytes(path) as file:
        head: bytes = file.read(HEAD_BYTES)
    return head


@contextlib.contextmanager
def explained_compression(uri: str) -> Iterator[None]:
    """Raise InputError for damaged compressed data."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        # gzip and bz2 report damage as an OSError without a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(f"'{uri}' is not a complete gzip, bzip2 or xz file. Write or copy it again.") from None


def refuse_other_formats(head: bytes, uri: str) -> None:
    """Raise for a file that is neither CSV nor Parquet but of another known format.

    Args:
        head: First bytes of the file, decompressed.
        uri: Path or URI of the file.

    Raises:
        InputError: The format is recognised.
    """
    found = _format(head, uri.rsplit("/", 1)[-1])
    if found:
        kind, what_to_do = found
        raise InputError(f"'{uri}' should be CSV or Parquet. Received: {kind}. {what_to_do}")


def _opener(start: bytes) -> Any:
    return next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)


def _format(head: bytes, name: str) -> tuple[str, str] | None:
    """Return the name of a file's format and what to do with it; None if it may be CSV."""
    lower = name.lower()
    for magic, kind, what_to_do in _FORMATS:
        # A header may start with these letters; the formats go on with other bytes than text.
        if head.startswith(magic) and (not magic.isalnum() or _CONTROL.search(head[:300])):
            found = _archive_format(head, lower) if kind == "a ZIP archive" else None
            return found or (kind, what_to_do.replace("{name}", name))
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    text = (head[3:] if head.startswith(b"\xef\xbb\xbf") else head).lstrip()
    known = next(((kind, what_to_do) for start, kind, what_to_do in _TEXTS if start.match(text)), None)
    return known or _json_format(text, lower)


def _archive_format(head: bytes, name: str) -> tuple[str, str] | None:
    """Return the format of a file that is a ZIP archive inside; the names of the files in it are at its start."""
    if b"xl/" in head or name.endswith((".xlsx", ".xlsm", ".xlsb")):
        return "an Excel workbook", "Save the sheet as CSV."
    if b"opendocument.spreadsheet" in head[:200] or name.endswith(".ods"):
        return "an OpenDocument spreadsheet", "Save the sheet as CSV."
    if b".npy" in head[:200] or name.endswith(".npz"):
        return "a NumPy archive (.npz)", "Write its arrays as columns of a CSV or Parquet file."
    return None


def _json_format(text: bytes, name: str) -> tuple[str, str] | None:
    """Return JSON or JSON lines for a text that starts with an object or with an array of objects or arrays."""
    if not re.match(rb"\{\s*[\"}]|\[\s*[\[{\]]", text):
        return None
    first, _, rest = text.partition(b"\n")
    try:
        whole = isinstance(json.loads(first), dict)
    except ValueError:
        whole = False
    if whole and (rest.lstrip().startswith(b"{") or name.removesuffix(".gz").endswith((".jsonl", ".ndjson"))):
        return "JSON lines", _AS_PARQUET.format("pandas.read_json(path, lines=True).to_parquet(new_path)")
    return "JSON", _AS_PARQUET.format("pandas.read_json(path).to_parquet(new_path)")
