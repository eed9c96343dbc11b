"""New columns by SQL expressions: what they may say, and that nothing reaches beyond its row."""

import re

import duckdb
import pytest

from support.ingesting import Ingest
from tiffin.errors import InputError
from tiffin.stages.ingest import expressions
from tiffin.stages.ingest.expressions import order_derived

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
    """All of them in one run."""
    derive = {f"n{index}": expression for index, (expression, _, _) in enumerate(VALUES)}
    return Ingest(tmp_path_factory.mktemp("valued"))(ROWS, derive=derive)


class TestValues:
    @pytest.mark.parametrize("index", range(len(VALUES)), ids=[expression for expression, _, _ in VALUES])
    def test_of_an_expression_over_one_row(self, valued, index):
        _, type_, kept = VALUES[index]

        assert (valued.types[f"n{index}"], [row[f"n{index}"] for row in valued.rows]) == (type_, kept)

    def test_of_expressions_over_one_another_in_any_order(self, ingested):
        found = ingested(ROWS, derive={"p": "q * 2", "q": "R + 1", "r": "a"})

        assert [row["p"] for row in found.rows] == [4, 6, None]
        assert list(found.types) == ["a", "b", "moment", "r", "q", "p"]

    def test_of_columns_that_are_dropped_afterwards(self, ingested):
        found = ingested(ROWS, derive={"half": "a / 2", "quarter": "half / 2"}, exclude=["a", "half"])

        assert [row["quarter"] for row in found.rows] == [0.25, 0.5, None]
        assert list(found.types) == ["b", "moment", "quarter"]

    def test_of_columns_whose_names_were_mended(self, ingested):
        assert ingested("trip miles\n4\n", derive={"n": "trip_miles / 2"}).rows == [{"trip_miles": 4, "n": 2.0}]

    def test_that_some_row_does_not_have(self, ingested):
        with pytest.raises(
            InputError, match=r"have a value for each row \(Conversion Error.*Received: derive=\{.*Use TRY_CAST or CASE"
        ):
            ingested(ROWS, derive={"n": "CAST(b AS INTEGER)"})

        assert ingested.left() == []

    def test_that_no_row_can_have(self, ingested):
        with pytest.raises(
            InputError, match=r"fit the columns' types .*Received: derive=.*'b \+ 1'.*a BIGINT, b VARCHAR"
        ):
            ingested(ROWS, derive={"n": "b + 1"})

        assert ingested.left() == []

    @pytest.mark.parametrize(
        ("expression", "type_"), [("[a]", r"BIGINT\[\]"), ("{'x': a}", "STRUCT"), ("INTERVAL 1 DAY", "INT")]
    )
    def test_that_are_no_single_value(self, ingested, expression, type_):
        with pytest.raises(InputError, match=rf"Received: column 'n' of type {type_}"):
            ingested(ROWS, derive={"n": expression})


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        "expression", ["a +", "a + ) 2 ,", "(a", "a)) + ((1", "a /* open", "a FILTER (WHERE true)", "SELECT a", "'a"]
    )
    def test_what_does_not_parse(self, connection, expression):
        with pytest.raises(InputError, match=r"should be SQL over one row \(.+\)\. Received: derive\['n'\] = "):
            check(connection, expression)

    @pytest.mark.parametrize("expression", ["", "  ", None, 1, ["a"]])
    def test_what_is_no_expression(self, connection, expression):
        with pytest.raises(InputError, match=r"derive\['n'\] should be a SQL expression over one row\. Received: "):
            check(connection, expression)

    @pytest.mark.parametrize(
        "expression",
        [
            "a, b", "a AS c", "a FROM source", "a FROM range(3)", "a WHERE a > 1", "a LIMIT 1", "a ORDER BY a", "DISTINCT a",
            "a UNION SELECT 2", "a GROUP BY a", "a HAVING true", "a QUALIFY true", "a; SELECT 2", "a USING SAMPLE 1",
        ],
    )  # fmt: skip
    def test_what_comes_after_the_expression(self, connection, expression):
        with pytest.raises(InputError, match="one SQL expression and nothing after it"):
            check(connection, expression)

    @pytest.mark.parametrize("expression", ["a;", "a; DROP TABLE source", "a; -- b", "a GROUP BY ALL"])
    def test_statements(self, ingested, expression):
        with pytest.raises(InputError, match=r"Only SELECT statements|syntax error|nothing after it"):
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
            ("list_transform([a], x -> x)", "lambda"),
        ],
    )
    def test_what_is_not_of_the_row(self, connection, expression, kind):
        with pytest.raises(InputError, match=rf"nothing but its own row, not {kind}\. Received: derive\['n'\]"):
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
            ("no_such_function(a)", "no_such_function"),
        ],
    )
    def test_functions_that_read_files_clocks_chance_or_other_rows(self, connection, expression, function):
        with pytest.raises(
            InputError, match=rf"same result for the same row\. Received: .*, where '{function}' does not or is"
        ):
            check(connection, expression)

    @pytest.mark.parametrize(
        "expression", ["current_date", "current_timestamp", "localtimestamp", "current_user", "rowid"]
    )
    def test_words_that_stand_for_functions(self, connection, expression):
        with pytest.raises(InputError, match=f"name columns of the data.*'{expression}' is none"):
            check(connection, expression)

    @pytest.mark.parametrize("operator", ["+", "-", "*", "/", "%", "||", "~~"])
    def test_operators_are_allowed_whatever_their_overloads_for_time_zones_are_marked_as(self, operator):
        assert operator in expressions._pure_functions()

    def test_an_allowed_function_depends_on_the_time_zone_at_most(self, connection):
        """Ingest sets the time zone. A new function that depends on something else of the session fails here."""
        overloads = connection.execute(
            "SELECT function_name, parameter_types FROM duckdb_functions() "
            "WHERE function_type = 'scalar' AND stability <> 'CONSISTENT'"
        ).fetchall()
        allowed = expressions._pure_functions()

        for name, types in overloads:
            times = name.startswith("make_timestamptz") or any(re.match("TIME|DATE", type_) for type_ in types)
            assert name not in allowed or times, (name, types)

    def test_a_column_that_is_not_there(self, connection):
        with pytest.raises(InputError, match=r"'fair' is none\. Did you mean 'fare'\? The columns are: fare, tips, n"):
            order_derived(connection, {"n": "fair * 2"}, ["fare", "tips"])

    @pytest.mark.parametrize("expression", ["source.a", "main.source.a", '"a.b"'])
    def test_a_column_of_a_table(self, connection, expression):
        with pytest.raises(InputError, match="is none"):
            check(connection, expression)

    def test_a_function_spelled_wrongly(self, connection):
        with pytest.raises(InputError, match=r"Did you mean 'upper'\?"):
            check(connection, "uppper(b)")


class TestNames:
    @pytest.mark.parametrize("name", ["a", "A"])
    def test_that_are_columns_already(self, connection, name):
        with pytest.raises(
            InputError, match=r"is a column already\. Choose another name, and list the old column in exclude"
        ):
            order_derived(connection, {name: "b"}, ["a", "b"])

    @pytest.mark.parametrize(
        "name", ["", " ", "big tipper", "_late", "ä", 'q"q', "a/b", "tiffin split", "9x", "x.y", "class"]
    )
    def test_that_tensorflow_does_not_take(self, connection, name):
        with pytest.raises(InputError, match="A derived column's name should be letters, digits"):
            order_derived(connection, {name: "1"}, ["a"])

    def test_that_differ_in_case_only(self, connection):
        with pytest.raises(InputError, match=r"in more than case\. Received: derive=\{'Late': \.\.\.\}"):
            order_derived(connection, {"Late": "1", "late": "2"}, ["a"])

    @pytest.mark.parametrize("name", ["select", "tiffin_split", "source"])
    def test_that_are_unusual(self, ingested, name):
        assert ingested(ROWS, derive={name: "a"}, exclude=["a", "b", "moment"]).rows == [
            {name: 1},
            {name: 2},
            {name: None},
        ]


class TestCircles:
    @pytest.mark.parametrize(
        ("derive", "circle"),
        [({"p": "p + 1"}, "p"), ({"p": "q", "q": "P"}, "p, q"), ({"p": "q", "q": "r", "r": "p", "s": "a"}, "p, q, r")],
    )
    def test_are_named(self, connection, derive, circle):
        with pytest.raises(InputError, match=f"need each other in a circle. Received: {circle}"):
            order_derived(connection, derive, ["a"])


def test_without_expressions_there_is_nothing_to_order(connection):
    assert order_derived(connection, {}, ["a"]) == []
