"""Labels from a database: a query, whose rows are streamed to a Parquet file.

The URL of the database is in an environment variable, since it has a password: it is in no parameter, spec or message. It is
one of SQLAlchemy, such as `postgresql+psycopg://user:password@host/shop` or `sqlite:////data/shop.db`. SQLite is always
there; other databases need their driver in the image, such as the package psycopg.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tiffin.errors import InputError

URL_VARIABLE = "TIFFIN_LABELS_URL"
_QUERY = re.compile(r"\s*(SELECT|WITH)\s", re.IGNORECASE)
# What lets a connection read only. Elsewhere, nothing is committed; a user that may only read is safer.
_READ_ONLY = {
    "sqlite": "PRAGMA query_only = ON",
    "postgresql": "SET TRANSACTION READ ONLY",
}
# Rows that are held at once.
_ROWS = 10_000


def is_query(labels: str) -> bool:
    """Return whether labels come from a query: it starts with SELECT or WITH."""
    return bool(_QUERY.match(labels))


def write_rows(query: str, url_variable: str, columns: Sequence[str], path: Path) -> None:
    """Write the rows of a query to a Parquet file, every value as text.

    SQLite and PostgreSQL refuse queries that change something; elsewhere, nothing is committed.

    Args:
        query: A query that starts with SELECT or WITH.
        url_variable: Environment variable with the URL of the database.
        columns: Columns that are kept, if the query has them.
        path: File to write.

    Raises:
        InputError: The variable is not set, its URL is invalid, the driver is missing, or the query fails.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import sqlalchemy
    from sqlalchemy import exc

    url = os.environ.get(url_variable, "")
    if not url:
        raise InputError(
            f"A query for labels needs the URL of the database in the environment variable {url_variable}, such as "
            "postgresql+psycopg://user:password@host/shop. Received: no such variable. Set it from a secret."
        )
    try:
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, hide_parameters=True)
    except (exc.SQLAlchemyError, ValueError):
        # The message of the error may have the URL.
        raise InputError(
            f"{url_variable} should be a URL of SQLAlchemy, such as postgresql+psycopg://user:password@host/shop, of a known "
            "database. Received: another text, which is not shown. Correct the secret."
        ) from None
    except ImportError as error:
        raise InputError(
            f"{url_variable} names a database whose driver is not installed: the module '{error.name}' is missing. "
            "Add it to the image of the step."
        ) from None
    try:
        with engine.connect() as connection:
            if engine.dialect.name in _READ_ONLY:
                connection.exec_driver_sql(_READ_ONLY[engine.dialect.name])
            # As it is: a colon in the query is no parameter.
            streamed = {"stream_results": True, "yield_per": _ROWS}
            result = connection.exec_driver_sql(query, execution_options=streamed)
            names = list(result.keys()) if result.returns_rows else []
            kept = [name for name in names if name in set(columns)]
            if len(set(kept)) < len(kept):
                raise InputError(f"The query should return each column once. Received: {', '.join(names)}.")
            schema = pa.schema([(name, pa.string()) for name in dict.fromkeys(kept or names[:1] or ["nothing"])])
            with pq.ParquetWriter(path, schema) as writer:
                for rows in _partitions(result) if names else ():
                    values = [[_text(row[names.index(name)]) for row in rows] for name in schema.names]
                    writer.write_table(pa.table([pa.array(one, pa.string()) for one in values], schema=schema))
    except exc.SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().split("\n")[0].replace(url, url_variable)
        raise InputError(
            f"The query for labels should run on the database of {url_variable}. Received: {reason}. "
            "Correct the query, or check the database."
        ) from None
    finally:
        engine.dispose()


def _partitions(result: Any) -> Iterator[Sequence[Any]]:
    while rows := result.fetchmany(_ROWS):
        yield rows


def _text(value: Any) -> str | None:
    """Return a value as the text that a CSV file has for it."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float | Decimal):
        return str(int(value)) if math.isfinite(value) and value == int(value) else str(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)
