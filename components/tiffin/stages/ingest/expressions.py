"""New columns by SQL expressions: checked before they run, in the dialect of DuckDB.

An expression sees one row: columns, constants, operators, `CASE`, casts and functions that give the same result for the
same row. Everything else (sub-queries, aggregates, windows, files, clocks, chance) is refused from the parsed tree, so an
expression can neither read other data nor make two runs differ.
"""

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb

from tiffin.errors import InputError, did_you_mean
from tiffin.stages.ingest.sources import plain_name

# The nodes of DuckDB's serialized tree that depend on nothing but the row.
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
# Functions that read the clock although DuckDB marks them as consistent; age does with one argument.
_CLOCKS = {"age", "current_localtime", "current_localtimestamp"}
# Macros of DuckDB that are scalar; the other macros are PostgreSQL's catalogue and list helpers.
_MACROS = {"nullif", "split_part", "fmod", "fdiv", "if", "days_in_month", "date_add"}


def order_derived(
    connection: duckdb.DuckDBPyConnection, derive: Mapping[str, str], columns: Sequence[str]
) -> list[str]:
    """Check every expression and return the new columns' names so that each comes after those it uses.

    Args:
        connection: Any DuckDB connection; nothing is executed on the data.
        derive: New column name to expression, such as `{"big_tipper": "tips > 0.2 * fare"}`.
        columns: The names that exist already.

    Raises:
        InputError: A name is taken, an expression does not parse, reaches beyond its row or names no column, or some
            expressions need each other.
    """
    taken = [name for name in derive if name.lower() in {column.lower() for column in columns}]
    if taken:
        raise InputError(
            f"A derived column should have a new name. Received: derive={{'{taken[0]}': ...}}, which is a column already. "
            "Choose another name, and list the old column in exclude."
        )
    if not derive:
        return []
    lower = [name.lower() for name in derive]
    for name in derive:
        if plain_name(name) != name or lower.count(name.lower()) > 1:
            raise InputError(
                "A derived column's name should be letters, digits and '_', the first a letter, no keyword of Python, and differ "
                f"from the others in more than case. Received: derive={{{name!r}: ...}}. Choose another name."
            )
    functions = _pure_functions()
    needs = {
        name: _columns_used(connection, name, expression, [*columns, *derive], functions)
        for name, expression in derive.items()
    }
    ordered: list[str] = []
    while len(ordered) < len(derive):
        ready = [name for name in derive if name not in ordered and not (needs[name] & derive.keys()) - set(ordered)]
        if not ready:
            circle = sorted(derive.keys() - set(ordered))
            raise InputError(f"Derived columns should not need each other in a circle. Received: {', '.join(circle)}.")
        ordered += ready
    return ordered


def _columns_used(
    connection: duckdb.DuckDBPyConnection, name: str, expression: str, columns: Sequence[str], functions: frozenset[str]
) -> set[str]:
    if not isinstance(expression, str) or not expression.strip():
        raise InputError(f"derive['{name}'] should be a SQL expression over one row. Received: {expression!r}.")
    given = f"derive['{name}'] = '{expression}'"
    tree = json.loads(_fetch(connection, "SELECT json_serialize_sql(?::VARCHAR)", [f"SELECT {expression}"])[0][0])
    if tree.get("error"):
        raise InputError(f"The expression should be SQL over one row ({tree['error_message']}). Received: {given}.")
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
        raise InputError(f"The expression should be one SQL expression and nothing after it. Received: {given}.")
    used = set()
    by_lower = {column.lower(): column for column in columns}
    for part in _walk(node["select_list"][0]):
        kind = part["class"]
        if kind not in _NODES:
            raise InputError(
                f"The expression should use nothing but its own row, not {kind.lower()}. Received: {given}."
            )
        if kind == "COLUMN_REF":
            column = part["column_names"][-1]
            if len(part["column_names"]) > 1 or column.lower() not in by_lower:
                raise InputError(
                    f"The expression should name columns of the data. Received: {given}, where "
                    f"'{'.'.join(part['column_names'])}' is none.{did_you_mean(column, columns)} "
                    f"The columns are: {', '.join(columns)}."
                )
            used.add(by_lower[column.lower()])
        if kind == "FUNCTION" and part["function_name"].lower() not in functions:
            raise InputError(
                f"The expression should use functions that give the same result for the same row. Received: {given}, "
                f"where '{part['function_name']}' does not or is not known.{did_you_mean(part['function_name'], functions)}"
            )
    return used


def _walk(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every expression of a serialized tree, itself first."""
    if isinstance(node, dict):
        # A cast's target type is data, not an expression of the user's.
        if "class" in node:
            yield node
        for key, value in node.items():
            if key != "type_expr":
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
