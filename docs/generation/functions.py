"""The reference of the functions that derived columns may use."""

from tiffin.recipe.functions import FUNCTIONS, TYPES


def write_functions() -> str:
    """Return the page in Markdown: the functions by kind, and the types of casts."""
    parts = [
        "# Functions of derived columns",
        "The SQL of `derive` has DuckDB's dialect. It may use the columns of its row, constants, comparisons, `AND`, `OR`, "
        "`NOT`, `IN`, `BETWEEN`, `CASE`, `COALESCE`, `TRY`, casts, and these functions. "
        "[DuckDB's reference](https://duckdb.org/docs/stable/sql/functions/overview) describes each.",
        "The size of a value is bounded: see [Derive and drop columns](../how-to/data.md#derive-and-drop-columns).",
    ]
    for kind, names in FUNCTIONS.items():
        parts += [f"## {kind[0].upper()}{kind[1:]}", ", ".join(f"`{name}`" for name in names)]
    parts += [
        "## Types of casts",
        ", ".join(f"`{name}`" for name in sorted(TYPES)),
        "Lists, structs and maps of these too.",
    ]
    return "\n\n".join(parts) + "\n"
