"""The SQLite database that MLflow keeps its records in: made whole or not at all, and its full disk told from other faults."""

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from mlflow.store.db.utils import _initialize_tables


def path_of(uri: str) -> Path | None:
    """Return the file of MLflow's address, None where that is no SQLite database."""
    name = sqlalchemy.make_url(uri).database if uri.startswith("sqlite:///") else None
    return Path(name) if name else None


@contextmanager
def prepared(path: Path) -> Iterator[None]:
    """Have the tables made at `path` if there are none yet, and keep other processes out while the block runs.

    MLflow makes its tables one after another, which takes seconds. In a database that a process left half-way, or that two
    processes began at once, no later one would get any further.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # SQLite leaves an empty file where somebody only looked.
        if not path.exists() or path.stat().st_size == 0:
            _make(path)
        yield


def _make(path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    # Of one that was killed. Its journal would be played back into the new file.
    journal = part.with_name(f"{part.name}-journal")
    for left in (part, journal):
        left.unlink(missing_ok=True)
    # Without a pool every connection ends with its use, so nothing holds on to the name that goes away.
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(part)), poolclass=sqlalchemy.pool.NullPool
    )
    try:
        # What MLflow's own stores call on a database without tables.
        _initialize_tables(engine)
        os.replace(part, path)
    finally:
        for left in (part, journal):
            left.unlink(missing_ok=True)


def find_full_disk(error: BaseException | None, path: Path | None) -> OSError | None:
    """Return the full disk behind an error, None if something else is.

    MLflow and SQLAlchemy wrap what the database says, and SQLite says it without the operating system's number.

    Args:
        error: With its causes.
        path: Of the database, None where there is none.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return error
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path) if path else None)
        error = error.__cause__ or error.__context__
    return None
