"""Check the SQL expressions of derived columns, in DuckDB's dialect, before they run.

An expression may use the columns of its row, constants, operators, `CASE`, casts and the functions of `functions.py`, and the
size of what it makes is bounded. All else is refused from the parsed tree: an expression cannot read other data, gives the same
result in every run, and ends.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from tiffin.artifacts.columns import plain_name
from tiffin.errors import InputError, did_you_mean
from tiffin.recipe.functions import ALLOWED, TYPES
from tiffin.recipe.lengths import LONGEST_IN_ALL, Length, TooLong, measure
from tiffin.recipe.reasons import expression_reason
from tiffin.recipe.sql import check_derive, escaped, quoted_name

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
# Characters of an expression; DuckDB takes many seconds to parse longer ones.
_LONGEST = 100_000


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
    check_derive(derive)
    taken = [name for name in derive if name.lower() in {column.lower() for column in columns}]
    if taken:
        raise InputError(
            f"A derived column should have a new name. Received: derive={{'{taken[0]}': ...}}, which is an existing column. "
            "Choose another name, and list the existing column in exclude to replace it."
        )
    lower = [name.lower() for name in derive]
    for name in derive:
        if plain_name(name) != name or lower.count(name.lower()) > 1:
            raise InputError(
                "A derived column's name should be letters, digits and '_', start with a letter, not be a Python keyword, and "
                f"differ from other names in more than case. Received: derive={{{name!r}: ...}}. Choose another name."
            )
    trees = {name: _checked_tree(connection, name, expression) for name, expression in derive.items()}
    needs = {
        name: _columns_used(tree, _given(name, derive[name]), [*columns, *derive], renamed or {})
        for name, tree in trees.items()
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
    _check_lengths({name: trees[name] for name in ordered}, derive)
    return ordered


def _check_lengths(trees: Mapping[str, dict[str, Any]], derive: Mapping[str, str]) -> None:
    """Raise for expressions that may make too long texts; each comes after the columns it uses."""
    lengths: dict[str, Length] = {}
    fixed = 0
    for name, tree in trees.items():
        try:
            lengths[name.lower()], made = measure(tree, lengths)
            fixed += made.fixed
            if fixed > LONGEST_IN_ALL:
                raise TooLong(
                    f"the derived columns together may make texts of more than {LONGEST_IN_ALL:,} bytes a row"
                )
        except TooLong as problem:
            raise InputError(
                f"The expression should make texts of bounded size. Received: {_given(name, derive[name])}: {problem}."
            ) from None


def _checked_tree(connection: duckdb.DuckDBPyConnection, name: str, expression: str) -> dict[str, Any]:
    """Return the serialized tree of one expression that uses allowed functions and types, apart from the names of columns."""
    given = _given(name, expression)
    if len(expression) > _LONGEST:
        raise InputError(
            f"The expression should have at most {_LONGEST:,} characters. Received: {given}, with {len(expression):,}."
        )
    try:
        node = _parsed_node(connection, expression, given)
        for part in _walk(node):
            _check_part(part, given)
    except RecursionError:
        raise InputError(
            f"The expression should be nested less deeply. Received: {given}. Derive a part of it first."
        ) from None
    return node


def _parsed_node(connection: duckdb.DuckDBPyConnection, expression: str, given: str) -> dict[str, Any]:
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
    found: dict[str, Any] = node["select_list"][0]
    return found


def _check_part(part: Mapping[str, Any], given: str) -> None:
    """Raise unless a part of an expression depends on the row only."""
    kind = part["class"]
    if kind not in _NODES:
        raise InputError(f"The expression should use only its own row. Received: {given}, with '{kind.lower()}'.")
    if kind == "FUNCTION" and part["function_name"].lower() not in ALLOWED:
        name = part["function_name"]
        near = did_you_mean(name.lower(), [known for known in ALLOWED if known.isidentifier()])
        raise InputError(
            f"The expression should use functions that depend on their arguments only. Received: {given}, "
            f"with the function '{name}'.{near}"
        )
    if kind == "TYPE" and part["type_name"].lower() not in TYPES:
        name = part["type_name"]
        raise InputError(
            f"The expression should cast to a type of numbers, text, dates or lists. Received: {given}, "
            f"with the type '{name}'.{did_you_mean(name.lower(), TYPES)}"
        )


def _columns_used(tree: Mapping[str, Any], given: str, columns: Sequence[str], renamed: Mapping[str, str]) -> set[str]:
    used = set()
    by_lower = {column.lower(): column for column in columns}
    for part in _walk(tree):
        if part["class"] == "COLUMN_REF":
            column = part["column_names"][-1]
            if len(part["column_names"]) > 1 or (column not in renamed and column.lower() not in by_lower):
                original = {final: source for source, final in renamed.items()}
                known = [original.get(other, other) for other in columns]
                raise InputError(
                    f"The expression should use columns of the data. Received: {given}, with the unknown column "
                    f"'{'.'.join(part['column_names'])}'.{did_you_mean(column, known)} "
                    f"The columns are: {', '.join(known)}."
                )
            if "of" in part and column in renamed:
                function = part["of"]["function_name"]
                raise InputError(
                    f"A function of a renamed column should have it as argument. Received: {given}. "
                    f"Write {function}({quoted_name(column)}) in place of {quoted_name(column)}.{function}()."
                )
            used.add(renamed.get(column) or by_lower[column.lower()])
    return used


def _given(name: str, expression: str) -> str:
    return f"derive['{name}'] = '{expression if len(expression) < 500 else expression[:500] + '...'}'"


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
    """Yield every expression of a serialized tree, and every type of a cast, parents first."""
    if isinstance(node, dict):
        if "class" in node:
            yield node
        if node.get("class") == "FUNCTION" and len(path := node["qualified_name"]["path"]) > 1:
            # `name.upper()` is `upper(name)`; the tree has the name as that of a schema.
            yield {"class": "COLUMN_REF", "column_names": path[:-1], "of": node}
        for value in node.values():
            yield from _walk(value)
    elif isinstance(node, list):
        for value in node:
            yield from _walk(value)


def seal(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Forbid a connection all files but those below a folder, the network and changes to its settings.

    Call it when the sources have been read, before an expression is bound. It is a second barrier: a function that reads a
    file should not be allowed in the first place.

    Args:
        connection: Connection of a database that may still spill to its own file.
        folder: Folder that stays open for the results.
    """
    folders = f"['{escaped(folder)}/']"
    connection.execute(
        f"SET allowed_directories={folders}; SET enable_external_access=false; SET lock_configuration=true"
    )


def _fetch(connection: duckdb.DuckDBPyConnection, sql: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(sql, list(values)).fetchall()
    return rows
