"""Check the SQL expressions of derived columns, in DuckDB's dialect, before they run.

An expression may use the columns of its row, constants, operators, `CASE`, casts and deterministic functions. Sub-queries,
aggregates, window functions, and functions that read files, the clock or random numbers are rejected from the parsed tree:
an expression cannot read other data, and gives the same result in every run.
"""

import functools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import duckdb

from tiffin.errors import InputError, did_you_mean
from tiffin.stages.ingest.names import plain_name
from tiffin.stages.ingest.reasons import expression_reason
from tiffin.stages.ingest.sources import quoted_name

# Node classes of DuckDB's serialized tree that depend only on the row.
_NODES = {
    "CASE",
    "CAST",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "FUNCTION",
    "OPERATOR",
    "BETWEEN",
    "TYPE",
}
# Functions that read the clock although DuckDB marks them as consistent; `age` only with one argument.
_CLOCKS = {"age", "current_localtime", "current_localtimestamp"}
# DuckDB's scalar macros; its other macros are PostgreSQL catalogue functions and list helpers.
_MACROS = {"nullif", "split_part", "fmod", "fdiv", "if", "days_in_month", "date_add"}


def order_derived(
    connection: duckdb.DuckDBPyConnection,
    derive: Mapping[str, str],
    columns: Sequence[str],
    renamed: Mapping[str, str] | None = None,
) -> list[str]:
    """Check every expression and return the names of the derived columns, each after the columns it uses.

    Args:
        connection: Any DuckDB connection; the data is not read.
        derive: Name to expression, for example `{"big_tipper": "tips > 0.2 * fare"}`.
        columns: Names of the existing columns.
        renamed: Name in the source to name in `columns`, for those that differ; expressions may use either.

    Raises:
        InputError: A name is invalid or taken; an expression does not parse, uses more than its row or an unknown column; or
            expressions depend on one another in a cycle.
    """
    taken = [name for name in derive if name.lower() in {column.lower() for column in columns}]
    if taken:
        raise InputError(
            f"A derived column should have a new name. Received: derive={{'{taken[0]}': ...}}, which is an existing column. "
            "Choose another name, and list the existing column in exclude to replace it."
        )
    if not derive:
        return []
    lower = [name.lower() for name in derive]
    for name in derive:
        if plain_name(name) != name or lower.count(name.lower()) > 1:
            raise InputError(
                "A derived column's name should be letters, digits and '_', start with a letter, not be a Python keyword, and "
                f"differ from other names in more than case. Received: derive={{{name!r}: ...}}. Choose another name."
            )
    functions = _pure_functions()
    needs = {
        name: _columns_used(connection, name, expression, [*columns, *derive], renamed or {}, functions)
        for name, expression in derive.items()
    }
    ordered: list[str] = []
    while len(ordered) < len(derive):
        ready = [name for name in derive if name not in ordered and not (needs[name] & derive.keys()) - set(ordered)]
        if not ready:
            cycle = sorted(derive.keys() - set(ordered))
            raise InputError(
                f"Derived columns should not depend on each other in a cycle. Received: {', '.join(cycle)}."
            )
        ordered += ready
    return ordered


def _columns_used(
    connection: duckdb.DuckDBPyConnection,
    name: str,
    expression: str,
    columns: Sequence[str],
    renamed: Mapping[str, str],
    functions: frozenset[str],
) -> set[str]:
    if not isinstance(expression, str) or not expression.strip():
        raise InputError(f"derive['{name}'] should be a SQL expression over one row. Received: {expression!r}.")
    given = f"derive['{name}'] = '{expression}'"
    tree = _parsed(connection, expression)
    if tree.get("error"):
        reason = expression_reason(tree["error_message"])
        raise InputError(f"The expression should be valid SQL ({reason}). Received: {given}.")
    node = tree["statements"][0]["node"] if len(tree["statements"]) == 1 else {}
    plain = (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not node["select_list"][0]["alias"]
        and not any(
            node[clause] for clause in ("modifiers", "where_clause", "group_expressions", "having", "qualify", "sample")
        )
        and not node["cte_map"]["map"]
    )
    if not plain:
        raise InputError(f"derive should have one SQL expression per column, without other clauses. Received: {given}.")
    used = set()
    by_lower = {column.lower(): column for column in columns}
    for part in _walk(node["select_list"][0]):
        kind = part["class"]
        if kind not in _NODES:
            raise InputError(f"The expression should use only its own row. Received: {given}, with '{kind.lower()}'.")
        if kind == "COLUMN_REF":
            column = part["column_names"][-1]
            if len(part["column_names"]) > 1 or (column not in renamed and column.lower() not in by_lower):
                original = {final: source for source, final in renamed.items()}
                known = [original.get(other, other) for other in columns]
                raise InputError(
                    f"The expression should use columns of the data. Received: {given}, with the unknown column "
                    f"'{'.'.join(part['column_names'])}'.{did_you_mean(column, known)} "
                    f"The columns are: {', '.join(known)}."
                )
            used.add(renamed.get(column) or by_lower[column.lower()])
        if kind == "FUNCTION" and part["function_name"].lower() not in functions:
            raise InputError(
                f"The expression should use known, deterministic functions of one row. Received: {given}, "
                f"with the function '{part['function_name']}'.{did_you_mean(part['function_name'], functions)}"
            )
    return used


def with_final_names(connection: duckdb.DuckDBPyConnection, expression: str, renamed: Mapping[str, str]) -> str:
    """Return a valid expression with the final names of renamed columns in place of their names in the source.

    Args:
        connection: Any DuckDB connection.
        expression: Expression that `order_derived` accepts.
        renamed: Name in the source to final name.
    """
    if not renamed:
        return expression
    text = f"SELECT {expression}".encode()
    parts = [
        part
        for part in _walk(_parsed(connection, expression)["statements"][0]["node"]["select_list"])
        if part["class"] == "COLUMN_REF" and part["column_names"][0] in renamed
    ]
    for part in sorted(parts, key=lambda part: -part["query_location"]):
        start, length = part["query_location"], part["query_location_length"]
        text = text[:start] + quoted_name(renamed[part["column_names"][0]]).encode() + text[start + length :]
    return text.decode().removeprefix("SELECT ")


def names_used(connection: duckdb.DuckDBPyConnection, expressions: Iterable[str], columns: Iterable[str]) -> set[str]:
    """Return the columns that valid expressions use."""
    found = {
        part["column_names"][0].lower()
        for expression in expressions
        for part in _walk(_parsed(connection, expression)["statements"])
        if part["class"] == "COLUMN_REF"
    }
    return {column for column in columns if column.lower() in found}


def _parsed(connection: duckdb.DuckDBPyConnection, expression: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(
        _fetch(connection, "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {expression}"])[0][0]
    )
    return tree


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every expression of a serialized tree, parents first."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        for key, value in node.items():
            if key != "type_expr":  # The target type of a cast, not an expression.
                yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


@functools.cache
def _pure_functions() -> frozenset[str]:
    # Some versions of DuckDB mark the overloads for time zones, of `+` too, as consistent within a query only: they depend
    # on the session's time zone, which ingest sets to UTC.
    with duckdb.connect() as connection:
        rows = _fetch(
            connection,
            "SELECT function_name FROM duckdb_functions() WHERE function_type = 'scalar' GROUP BY 1 "
            "HAVING bool_or(stability = 'CONSISTENT') AND NOT bool_or(stability = 'VOLATILE')",
        )
    return frozenset(row[0] for row in rows) - _CLOCKS | _MACROS


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(sql, list(values)).fetchall()
    return rows
