"""SQL expressions of derived columns: values, and rejection of everything that uses more than its row."""

import re

import duckdb
import pytest

from support.ingesting import Ingest
from tiffin.errors import InputError
from tiffin.recipe.expressions import order_derived

ROWS = "a,b,moment\n1,x,2025-01-06 12:00:00\n2,y,2025-01-07 18:30:00\n,,\n"


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        yield connection


def check(connection, expression):
    return order_derived(connection, {"n": expression}, ["a", "b", "trip.miles"])


# Expression, type and the values for the three rows.
VALUES = [
    ("a + 1", "INT", [2, 3, None]),
    ("a / 2", "FLOAT", [0.5, 1.0, None]),
    ("a / 0", "FLOAT", [None, None, None]),
    ("a > 1", "INT", [0, 1, None]),
    ("a > 1 AND b = 'y'", "INT", [0, 1, None]),
    ("b || '!'", "STRING", ["x!", "y!", None]),
    ("upper(b)", "STRING", ["X", "Y", None]),
    ("b.upper()", "STRING", ["X", "Y", None]),
    ("'it''s; -- b'", "STRING", ["it's; -- b"] * 3),
    ("coalesce(a, -1)", "INT", [1, 2, -1]),
    ("CASE WHEN a > 1 THEN 'many' ELSE 'few' END", "STRING", ["few", "many", "few"]),
    ("if(a > 1, 10, 20)", "INT", [20, 10, 20]),
    ("nullif(a, 1)", "INT", [None, 2, None]),
    ("a IN (1, 3)", "INT", [1, 0, None]),
    ("a BETWEEN 1 AND 1", "INT", [1, 0, None]),
    ("b IS NULL", "INT", [0, 0, 1]),
    ("b LIKE 'x%'", "INT", [1, 0, None]),
    ("TRY_CAST(b AS INTEGER)", "INT", [None, None, None]),
    ("a::DECIMAL(4, 2)", "FLOAT", [1.0, 2.0, None]),
    ("hour(moment)", "INT", [12, 18, None]),
    ("strftime(moment, '%A')", "STRING", ["Monday", "Tuesday", None]),
    ("moment + INTERVAL 1 DAY", "INT", [1736251200, 1736361000, None]),
    ("date_diff('hour', DATE '2025-01-06', moment)", "INT", [12, 42, None]),
    ('"a" * 2', "INT", [2, 4, None]),
    ('"A" * 2', "INT", [2, 4, None]),
    ("a -- a comment", "INT", [1, 2, None]),
    ("a /* another */ + 1", "INT", [2, 3, None]),
    ("1", "INT", [1, 1, 1]),
    ("NULL", "STRING", [None, None, None]),
]


@pytest.fixture(scope="module")
def valued(tmp_path_factory):
    """Derive all values in one run."""
    derive = {f"n{index}": expression for index, (expression, _, _) in enumerate(VALUES)}
    return Ingest(tmp_path_factory.mktemp("valued"))(ROWS, derive=derive)


class TestValues:
    @pytest.mark.parametrize("index", range(len(VALUES)), ids=[expression for expression, _, _ in VALUES])
    def test_of_an_expression_over_one_row(self, valued, index):
        _, type_, kept = VALUES[index]

        assert (valued.types[f"n{index}"], [row[f"n{index}"] for row in valued.rows]) == (type_, kept)

    def test_of_expressions_that_use_derived_columns_in_any_order(self, ingested):
        found = ingested(ROWS, derive={"p": "q * 2", "q": "R + 1", "r": "a"})

        assert [row["p"] for row in found.rows] == [4, 6, None]
        assert list(found.types) == ["a", "b", "moment", "r", "q", "p"]

    def test_of_columns_that_are_dropped_afterwards(self, ingested):
        found = ingested(ROWS, derive={"half": "a / 2", "quarter": "half / 2"}, exclude=["a", "half"])

        assert [row["quarter"] for row in found.rows] == [0.25, 0.5, None]
        assert list(found.types) == ["b", "moment", "quarter"]

    def test_of_renamed_columns(self, ingested):
        assert ingested("trip miles\n4\n", derive={"n": "trip_miles / 2"}).rows == [{"trip_miles": 4, "n": 2.0}]

    def test_an_expression_that_fails_for_some_rows(self, ingested):
        with pytest.raises(InputError, match=r"\('x' .*integer\).*derive=\{'n': 'CAST\(b AS INTEGER\)'\}.*TRY_CAST"):
            ingested(ROWS, derive={"n": "CAST(b AS INTEGER)"})

        assert ingested.left() == []

    def test_an_expression_whose_error_ends_within_a_character(self, ingested):
        with pytest.raises(InputError, match=r"derive=\{'n': 'unhex\(b\)'\}.*TRY_CAST"):
            ingested("a,b\n1,é\n2,éé\n", derive={"n": "unhex(b)"})

    def test_a_function_of_a_renamed_column_after_a_dot(self, ingested):
        with pytest.raises(InputError, match=r'upper\("trip miles"\)'):
            ingested("trip miles\nx\n", derive={"n": '"trip miles".upper()'})

    def test_a_time_with_a_zone_is_text(self, ingested):
        """The offset of a zone such as Europe/Berlin depends on today's date."""
        with duckdb.connect() as connection:
            path = ingested.source / "data.parquet"
            path.parent.mkdir(parents=True)
            connection.execute(f"COPY (SELECT 1 AS a, '10:00:00+00'::TIMETZ AS t) TO '{path}'")

        assert ingested(data=str(path), derive={"n": "left(t, 2)"}).rows == [{"a": 1, "t": "10:00:00+00", "n": "10"}]
        with pytest.raises(InputError, match=r"timezone"):
            ingested(data=str(path), derive={"n": "timezone('Europe/Berlin', t)::VARCHAR"})

    def test_an_expression_of_the_wrong_type(self, ingested):
        with pytest.raises(InputError, match=r"'\+' .*text.*integer.*derive=.*'b \+ 1'.*a integer, b text"):
            ingested(ROWS, derive={"n": "b + 1"})

        assert ingested.left() == []

    @pytest.mark.parametrize(
        ("expression", "type_"), [("[a]", r"BIGINT\[\]"), ("{'x': a}", "STRUCT"), ("INTERVAL 1 DAY", "INT")]
    )
    def test_nested_values_and_intervals(self, ingested, expression, type_):
        with pytest.raises(InputError, match=rf"column 'n' .* {type_}"):
            ingested(ROWS, derive={"n": expression})


class TestInvalid:
    @pytest.mark.parametrize(
        "expression", ["a +", "a + ) 2 ,", "(a", "a)) + ((1", "a /* open", "a FILTER (WHERE true)", "SELECT a", "'a"]
    )
    def test_syntax_errors(self, connection, expression):
        with pytest.raises(InputError, match=rf"SQL \(.+\).*derive\['n'\] = '{re.escape(expression)}'"):
            check(connection, expression)

    @pytest.mark.parametrize("name", [1, None, True, 1.5])
    def test_names_that_are_not_texts(self, ingested, name):
        with pytest.raises(InputError, match=rf"derive=\{{{name!r}: "):
            ingested(ROWS, derive={name: "a + 1"})

    @pytest.mark.parametrize("expression", ["", "  ", None, 1, True, 1.5, ["a"], {"a": "b"}])
    def test_empty_expressions_and_other_types(self, connection, expression):
        with pytest.raises(InputError, match=rf"derive\['n'\].*: {re.escape(repr(expression))}"):
            check(connection, expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "a, b", "a AS c", "a FROM source", "a FROM range(3)", "a WHERE a > 1", "a LIMIT 1", "a ORDER BY a", "DISTINCT a",
            "a UNION SELECT 2", "a GROUP BY a", "a HAVING true", "a QUALIFY true", "a; SELECT 2", "a USING SAMPLE 1",
        ],
    )  # fmt: skip
    def test_other_clauses(self, connection, expression):
        # A syntax error has the parser's message in brackets.
        with pytest.raises(InputError, match=rf"^[^(]*derive\['n'\] = '{re.escape(expression)}'\.$"):
            check(connection, expression)

    @pytest.mark.parametrize("expression", ["a;", "a; DROP TABLE source", "a; -- b", "a GROUP BY ALL"])
    def test_statements(self, ingested, expression):
        with pytest.raises(InputError, match=rf"derive.*'n'.*'{re.escape(expression)}'"):
            ingested(ROWS, derive={"n": expression})

    @pytest.mark.parametrize(
        ("expression", "kind"),
        [
            ("(SELECT 1)", "subquery"),
            ("EXISTS(SELECT 1)", "subquery"),
            ("a IN (SELECT 1)", "subquery"),
            ("(VALUES (1))", "subquery"),
            ("CASE WHEN (SELECT true) THEN 1 END", "subquery"),
            ("coalesce(a, (SELECT content FROM read_text('/etc/hostname')))", "subquery"),
            ("row_number() OVER ()", "window"),
            ("sum(a) OVER (ORDER BY a)", "window"),
            ("lag(a) OVER ()", "window"),
            ("*", "star"),
            ("COLUMNS('a')", "star"),
            ("$1", "parameter"),
            ("?", "parameter"),
            ("#1", "positional_reference"),
            ("b -> 'x'", "lambda"),
        ],
    )
    def test_more_than_one_row(self, connection, expression, kind):
        with pytest.raises(InputError, match=rf"derive\['n'\] = .* '{kind}'"):
            check(connection, expression)

    @pytest.mark.parametrize(
        ("expression", "function"),
        [
            ("sum(a)", "sum"),
            ("count(*)", "count_star"),
            ("max(a) - a", "max"),
            ("list(a)", "list"),
            ("first(a)", "first"),
            ("string_agg(b, ',')", "string_agg"),
            ("unnest([1, 2])", "unnest"),
            ("read_csv('/etc/hostname')", "read_csv"),
            ("read_text('/etc/hostname')", "read_text"),
            ("read_blob('/etc/hostname')", "read_blob"),
            ("glob('*')", "glob"),
            ("getenv('HOME')", "getenv"),
            ("current_setting('threads')", "current_setting"),
            ("getvariable('x')", "getvariable"),
            ("nextval('s')", "nextval"),
            ("query('SELECT 1')", "query"),
            ("random()", "random"),
            ("a + random()", "random"),
            ("uuid()", "uuid"),
            ("gen_random_uuid()", "gen_random_uuid"),
            ("now()", "now"),
            ("today()", "today"),
            ("get_current_timestamp()", "get_current_timestamp"),
            ("current_localtime()", "current_localtime"),
            ("current_localtimestamp()", "current_localtimestamp"),
            ("transaction_timestamp()", "transaction_timestamp"),
            ("age(TIMESTAMP '2020-01-01')", "age"),
            ("date_trunc('day', now())", "now"),
            ("error('x')", "error"),
            ("version()", "version"),
            ("json_serialize_plan(concat('SELECT * FROM read_csv(''/etc/hostname'')'))", "json_serialize_plan"),
            ("json_serialize_plan(b, optimize := true)", "json_serialize_plan"),
            ("json_serialize_sql('SELECT 1')", "json_serialize_sql"),
            ("json_deserialize_sql(b)", "json_deserialize_sql"),
            ("current_schemas(true)", "current_schemas"),
            ("current_database()", "current_database"),
            ("pg_conf_load_time()", "pg_conf_load_time"),
            ("setseed(0.5)", "setseed"),
            ("sleep_ms(1000)", "sleep_ms"),
            ("write_log(b)", "write_log"),
            ("setval('s', 1)", "setval"),
            ("list_aggregate([a], 'reservoir_quantile', 0.5)", "list_aggregate"),
            ("list_transform([a], x -> x)", "list_transform"),
            ("list_filter([a], lambda x: x > 1)", "list_filter"),
            ("[x for x in [a]]", "list_apply"),
            ("b.getenv()", "getenv"),
            ("main.version()", "version"),
            ('"json_serialize_plan"(b)', "json_serialize_plan"),
            ("upper(CASE WHEN a > 1 THEN version() END)", "version"),
            ("no_such_function(a)", "no_such_function"),
        ],
    )
    def test_functions_that_are_not_deterministic_or_read_other_data(self, connection, expression, function):
        with pytest.raises(InputError, match=rf"derive\['n'\] = .* function '{function}'\."):
            check(connection, expression)

    @pytest.mark.parametrize(
        "expression", ["current_date", "current_timestamp", "localtimestamp", "current_user", "rowid"]
    )
    def test_keywords_that_are_functions(self, connection, expression):
        with pytest.raises(InputError, match=rf"'{expression}'\..*: a, b, trip\.miles"):
            check(connection, expression)

    def test_an_unknown_column(self, connection):
        with pytest.raises(InputError, match=r"'fair'\..* 'fare'\?.*: fare, tips, n"):
            order_derived(connection, {"n": "fair * 2"}, ["fare", "tips"])

    @pytest.mark.parametrize("expression", ["source.a", "main.source.a", '"a.b"'])
    def test_a_column_of_a_table(self, connection, expression):
        with pytest.raises(InputError, match=rf"'{re.escape(expression.replace(chr(34), ''))}'\..*: a, b, trip\.miles"):
            check(connection, expression)

    @pytest.mark.parametrize("expression", ["main.upper(b)", "system.main.upper(b)"])
    def test_a_function_of_a_schema(self, connection, expression):
        with pytest.raises(InputError, match=r"'(system\.)?main'\..*: a, b, trip\.miles"):
            check(connection, expression)

    def test_a_misspelled_function(self, connection):
        with pytest.raises(InputError, match=r"'uppper'.* 'upper'\?"):
            check(connection, "uppper(b)")


class TestNames:
    @pytest.mark.parametrize("name", ["a", "A"])
    def test_of_existing_columns(self, connection, name):
        with pytest.raises(InputError, match=rf"derive=\{{'{name}': \.\.\.\}}.*exclude"):
            order_derived(connection, {name: "b"}, ["a", "b"])

    @pytest.mark.parametrize(
        "name",
        ["", " ", "big tipper", "_late", "ä", 'q"q', "a/b", "tiffin split", "9x", "x.y", "class"],  # contract: names
    )
    def test_that_tensorflow_does_not_accept(self, connection, name):
        with pytest.raises(InputError, match=rf"derive=\{{{re.escape(repr(name))}: \.\.\.\}}"):
            order_derived(connection, {name: "1"}, ["a"])

    def test_that_differ_only_in_case(self, connection):
        with pytest.raises(InputError, match=r"derive=\{'Late': \.\.\.\}"):
            order_derived(connection, {"Late": "1", "late": "2"}, ["a"])

    @pytest.mark.parametrize("name", ["select", "tiffin_split", "source"])
    def test_that_are_unusual(self, ingested, name):
        assert ingested(ROWS, derive={name: "a"}, exclude=["a", "b", "moment"]).rows == [
            {name: 1},
            {name: 2},
            {name: None},
        ]


class TestCycles:
    @pytest.mark.parametrize(
        ("derive", "cycle"),
        [({"p": "p + 1"}, "p"), ({"p": "q", "q": "P"}, "p, q"), ({"p": "q", "q": "r", "r": "p", "s": "a"}, "p, q, r")],
    )
    def test_are_an_error(self, connection, derive, cycle):
        with pytest.raises(InputError, match=rf": {cycle}\.$"):
            order_derived(connection, derive, ["a"])


def test_without_expressions_the_order_is_empty(connection):
    assert order_derived(connection, {}, ["a"]) == []
