"""MLflow's database: check its driver, create SQLite's tables atomically, and detect a full disk behind an error."""

import errno
import fcntl
import os
import sqlite3
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from mlflow.store.db.utils import _initialize_tables

from tiffin.errors import InputError


def path_of(uri: str) -> Path | None:
    """Return the file of a SQLite tracking URI, None for other URIs."""
    name = sqlalchemy.make_url(uri).database if uri.startswith("sqlite:///") else None
    return Path(name) if name else None


def check_driver(uri: str) -> None:
    """Raise an InputError if a database URI needs a driver that is not installed.

    MLflow would retry the import, and would then report a missing module.
    """
    if urllib.parse.urlsplit(uri).scheme.partition("+")[0] not in ("postgresql", "mysql", "mssql"):
        return
    dialect = sqlalchemy.make_url(uri).get_dialect()
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise InputError(
            f"MLFLOW_TRACKING_URI should be the address of an MLflow server, or of a database whose driver is installed. "
            f"Received: a {dialect.name} URI, and the module '{error.name}' is missing. Run: pip install 'mlflow[db]' in "
            "the environment of the step, which is its image or virtualenv 'model'."
        ) from error


@contextmanager
def prepared(path: Path) -> Iterator[None]:
    """Create the tables at `path` if there are none, and lock out other processes while the block runs.

    MLflow creates its tables one by one, which takes seconds. A database that was left incomplete, or that two processes
    created at once, would fail every later client.

    Args:
        path: Database file; its folder is created if necessary.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # SQLite creates an empty file on a read.
        if not path.exists() or path.stat().st_size == 0:
            _create(path)
        yield


def _create(path: Path) -> None:
    part = path.with_name(f".{path.name}.part")
    # Left by a killed process. SQLite would replay the journal into the new file.
    journal = part.with_name(f"{part.name}-journal")
    for left in (part, journal):
        left.unlink(missing_ok=True)
    # Without a pool, connections are closed after use, before the file is renamed.
    engine = sqlalchemy.create_engine(
        sqlalchemy.URL.create("sqlite", database=str(part)), poolclass=sqlalchemy.pool.NullPool
    )
    try:
        # MLflow's own stores call this on an empty database.
        _initialize_tables(engine)
        os.replace(part, path)
    finally:
        for left in (part, journal):
            left.unlink(missing_ok=True)


def find_full_disk(error: BaseException | None, path: Path | None) -> OSError | None:
    """Return an OSError if a full disk caused an error, otherwise None.

    MLflow and SQLAlchemy wrap the database's error, and SQLite's has no errno.

    Args:
        error: Error, with its causes.
        path: File of the database; None for a database that is not SQLite.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return error
        if isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path) if path else None)
        error = error.__cause__ or error.__context__
    return None
