"""Reasons in own words: no message holds a text of DuckDB's."""

import re
from pathlib import Path

import duckdb
import pytest

from tiffin.errors import InputError
from tiffin.recipe.reasons import expression_reason, type_name
from tiffin.stages import ingest as stage
from tiffin.stages.ingest.reasons import damaged, unreadable

ROWS = "a,b,moment,flag\n5,x,2025-01-06 12:00:00,true\n7,y,2025-01-07 12:00:00,false\n"
# What DuckDB's messages hold, and ours do not.
THEIRS = re.compile(
    r"Error:|BIGINT|VARCHAR|DOUBLE|INT64|INT32|LITERAL|when casting|source column|given name and argument|explicit|near \"|"
    r"state machine|strict_mode|destination type|specifier|Unimplemented"
)


class TestExpressions:
    @pytest.mark.parametrize(
        ("expression", "values"),
        [
            ("b + 1", r"'\+' .*text.*integer"),
            ("hour(b)", r"'hour' .*text"),
            ("upper(a, b)", r"'upper' .*integer.*text"),
            ("a > b", "integer.*text"),
            ("greatest(a, b)", "integer.*text"),
            ("coalesce(a, b, moment)", "integer.*text"),
            ("a = moment", "integer .*timestamp"),
            ("CAST(b AS INTEGER)", r"'x' .*integer"),
            ("b::DATE", r"'x' .*date.*2025-"),
            ("b::TIMESTAMP", r"'x' .*timestamp"),
            ("b::BOOLEAN", r"'x' .*boolean"),
            ("'2025-13-01'::DATE", r"'2025-13-01' .*date"),
            ("strptime(b, '%d')", r"'x' .*format"),
            ("a * 9223372036854775807", "range"),
            ("a::TINYINT * 1000::TINYINT", "range"),
            ("moment + 1", r"'\+' .*timestamp.*integer"),
            ("regexp_matches(b, '(')", "value"),
            ("date_part('foo', moment)", "value"),
            ("chr(-5)", "value"),
            ("a::DECIMAL(40, 2)", "types"),
            ("a +", r"'\+'"),
            ("'x", "quote"),
            ("a b c", "'c'"),
            ("(", r"'\('"),
        ],
    )
    def test_are_translated(self, ingested, expression, values):
        with pytest.raises(
            InputError, match=rf"\([^()]*(\([^()]*\))?[^()]*{values}.*{re.escape(expression)}"
        ) as raised:
            ingested(ROWS, derive={"n": expression})

        assert not THEIRS.search(str(raised.value).replace(expression, ""))

    @pytest.mark.parametrize(
        "error", [duckdb.BinderException("Binder Error: new words"), duckdb.Error("new words"), "new words"]
    )
    def test_unknown_ones_are_not_quoted(self, error):
        assert "words" not in expression_reason(error)


class TestFiles:
    @pytest.mark.parametrize("error", [damaged, unreadable])
    def test_name_the_file_only(self, error):
        message = str(
            error("trips.csv", duckdb.InvalidInputException("Invalid Input Error: The CSV Parser state machine"))
        )

        assert "'trips.csv'" in message
        assert not THEIRS.search(message)

    @pytest.mark.parametrize("error", [damaged, unreadable])
    def test_a_full_disk_or_memory_is_not_the_files_fault(self, error):
        with pytest.raises(OSError, match="No space"):
            error("trips.csv", duckdb.IOException("IO Error: No space left on device"))
        with pytest.raises(OSError, match="memory"):
            error("trips.csv", duckdb.OutOfMemoryException("Out of Memory Error: failed"))


@pytest.mark.parametrize(
    ("type_", "name"),
    [
        ("BIGINT", "integer"),
        ("DECIMAL(5,2)", "decimal"),
        ("VARCHAR", "text"),
        ("DOUBLE", "float"),
        ("BIGINT[]", "BIGINT[]"),
    ],
)
def test_types_have_the_names_of_the_setting(type_, name):
    assert type_name(type_) == name


def test_no_module_puts_an_error_of_duckdb_into_a_message():
    for path in Path(stage.__file__).parent.glob("*.py"):
        assert not re.search(r"\{(str\()?error\b", path.read_text()), path.name
