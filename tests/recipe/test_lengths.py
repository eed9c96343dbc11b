"""Bounds of the texts that expressions make: those beyond the limits are refused before they run; a bound holds for the value."""

import re

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.ingesting import Ingest
from tiffin.errors import InputError
from tiffin.recipe import expressions
from tiffin.recipe.expressions import order_derived
from tiffin.recipe.functions import ALLOWED
from tiffin.recipe.lengths import LONGEST, measure

ROWS = "a,b\n1,x\n2,y\n"
# Texts with characters of 1 to 4 bytes, and those that casts, JSON and URLs escape.
TEXT = "aé€😀\x01\"'&%\\ ,{}ŉ" * 3


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS a, ?::VARCHAR AS b", [TEXT])
        yield connection


def check(connection, derive):
    return order_derived(connection, derive, ["a", "b"])


# Expression, and the function or the option that the error names.
EXPANDING = [
    ("repeat(chr(65), 4000000000)", "repeat"),
    ("repeat(b, a)", "repeat"),
    ("repeat(repeat(b, 1000), 1000)", "repeat"),
    ("repeat([a], 1000000)", "repeat"),
    ("b.repeat(100000)", "repeat"),
    ("repeat('', 4000000000)", "repeat"),
    ("lpad(b, 100000000, 'x')", "lpad"),
    ("rpad('x', a, 'x')", "rpad"),
    ("printf('%1000000000d', a)", "printf"),
    ("printf('%.99999999f', a)", "printf"),
    ("printf('%*d', a, a)", "printf"),
    ("printf(b, a)", "printf"),
    ("printf('%100000000000000000000d', a)", "printf"),
    ("format('{:>1000000000}', b)", "format"),
    ("format('{:{}}', b, a)", "format"),
    ("format(b, a)", "format"),
    ("format(repeat('{0}', 5000), b)", "format"),
    ("range(a)", "range"),
    ("len(range(1000000000000))", "range"),
    ("generate_series(1, 1000000000)", "generate_series"),
    ("list_resize([a], 1000000000)", "list_resize"),
    ("array_resize([a], 1000000000)", "array_resize"),
    ("bar(a, 0, 1, 1000000000)", "bar"),
    ("bitstring('01', 1000000000)", "bitstring"),
    ("damerau_levenshtein(rpad('', 9000, 'x'), rpad('', 9000, 'y'))", "damerau_levenshtein"),
    ("levenshtein(rpad('', 2000, 'x'), rpad('', 2000, 'y'))", "levenshtein"),
    ("replace(b, 'x', b)", "replace"),
    ("replace(rpad('', 2000, 'x'), 'x', rpad('', 2000, 'y'))", "replace"),
    ("regexp_replace(rpad('', 2000, 'x'), '', rpad('', 2000, 'y'), 'g')", "regexp_replace"),
    ("regexp_replace(b, '.*', repeat('\\0', 2000))", "regexp_replace"),
    ("array_to_string(string_split(b, ''), b)", "array_to_string"),
    ("concat_ws(b, string_split(b, ''))", "concat_ws"),
    ("hex(" * 30 + "b" + ")" * 30, "hex"),
    ("to_binary(" * 10 + "'x'" + ")" * 10, "to_binary"),
    ("url_encode(" * 20 + "b" + ")" * 20, "url_encode"),
    ("json_extract(b, '$..*')", "json_extract"),
    ("b ->> '$.*'", "->>"),
    (" || ".join(["rpad(b, 2000, 'x')"] * 9), "||"),
    ("CASE WHEN " + " OR ".join(["rpad(b, 2000, 'x') = 'y'"] * 99) + " THEN 1 END", "250,000"),
]


class TestRefused:
    @pytest.mark.parametrize(("expression", "named"), EXPANDING, ids=[expression[:40] for expression, _ in EXPANDING])
    def test_before_it_runs(self, connection, expression, named):
        with pytest.raises(InputError, match=rf"derive\['n'\] = .*{re.escape(named)}"):
            check(connection, {"n": expression})

    def test_columns_that_double_one_another(self, connection):
        doubling = {f"n{number + 1}": f"n{number} || n{number}" for number in range(1, 40)}

        with pytest.raises(InputError, match=r"derive\['n\d'\] = 'n\d \|\| n\d'.*'\|\|'.*1,000"):
            check(connection, {"n1": "b || b", **doubling})

    def test_many_columns_of_long_texts(self, connection):
        with pytest.raises(InputError, match=r"derive\['n\d+'\] = .*250,000"):
            check(connection, {f"n{number}": "rpad(b, 2400, ' ')" for number in range(30)})

    @pytest.mark.parametrize(
        ("one", "closing"),
        [("(", ")"), ("abs(", ")"), ("[", "]"), ("not ", ""), ("- ", ""), ("CASE WHEN a>1 THEN ", " END")],
    )
    @pytest.mark.parametrize("depth", [400, 900, 3000])
    def test_deep_nesting(self, connection, one, closing, depth):
        errors = []
        try:
            check(connection, {"n": one * depth + "a" + closing * depth})
        except InputError as error:
            errors.append(str(error))

        # Parentheses are no part of the tree.
        assert [("derive['n'] = '" in error, len(error) < 1_000) for error in errors] in ([], [(True, True)])
        assert errors or one == "(" or depth == 400

    def test_a_long_text(self, connection):
        with pytest.raises(InputError, match=r"100,000.*derive\['n'\].*600,001"):
            check(connection, {"n": "1" + "+1" * 300_000})


class TestAccepted:
    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ("lpad(a::VARCHAR, 3, '0')", "001"),
            ("repeat('ab', 3)", "ababab"),
            ("repeat(b, -1)", ""),
            ("printf('%05.1f|%s', a / 1, b)", "001.0|x"),
            ("printf('100%%')", "100%"),
            ("format('{:>4}|{1}', b, a)", None),
            ("format('{{}} {}', b)", "{} x"),
            ("replace(replace(replace(b, '&', '&amp;'), '<', '&lt;'), 'x', '&gt;')", "&gt;"),
            ("regexp_replace(b, '(.)', '<\\1>')", "<x>"),
            ("array_to_string([b, b], ', ')", "x, x"),
            ("concat_ws('-', b, a)", "x-1"),
            ("upper(trim(b)) || strftime(DATE '2020-01-02', ' %A')", "X Thursday"),
            ("json_extract_string('{\"k\": \"v\"}', '$.k')", "v"),
            ("CASE " + " ".join(f"WHEN a = {n} THEN 'number {n}'" for n in range(2000)) + " END", "number 1"),
            ("CASE WHEN b IN (" + ", ".join(f"'zip {n}'" for n in range(5000)) + ") THEN 'in' ELSE 'out' END", "out"),
            ("levenshtein(b, 'xyz')::VARCHAR", "2"),
        ],
    )
    def test_ordinary_expressions(self, tmp_path, expression, value):
        if value is None:
            with pytest.raises(InputError, match=r"derive"):
                Ingest(tmp_path)(ROWS, derive={"n": expression})
        else:
            assert Ingest(tmp_path)(ROWS, derive={"n": expression}).rows[0]["n"] == value


# Patterns of texts over another text {0}, and one over two.
SHAPES = (
    "upper({0})", "hex({0})", "lpad({0}, 40, 'é')", "repeat({0}, 3)", "replace({0}, 'a', 'xyz')", "url_encode({0})",
    "regexp_replace({0}, '', '€', 'g')", "regexp_replace({0}, '(a)', '\\1\\0', 'g')", "concat({0}, {1})", "{0} || {1}",
    "base64(encode({0}))", "encode({0})::BLOB::VARCHAR", "encode({0})::VARCHAR",
    "array_to_string(string_split({0}, ''), '--')", "[{0}, {1}]::VARCHAR", "{{'x': {0}}}::JSON::VARCHAR",
    "printf('%9s|%s', {0}, {1})", "format('{{:>9}}{{}}', {0}, {1})", "reverse({0})",
    "CASE WHEN length({0}) > 9 THEN {0} ELSE {1} END", "coalesce({0}, {1})", "to_binary({0})", "regexp_escape({0})",
    "translate({0}, 'a&', '€😀')", "nfc_normalize({0})", "concat_ws(', ', {0}, {1}, a)",
    "json_extract([{0}]::JSON::VARCHAR, '$[0]')", "strftime(TIMESTAMP '2020-01-02', '%c %A %B') || {0}", "md5({0})",
    "sha256({0})", "overlay({0} PLACING {1} FROM 2)", "array_to_string(string_split_regex({0}, 'a') || [{1}], ',')",
    "string_split({0}, 'a')::VARCHAR", "substr({0}, 2, 7)", "(a + length({0}))::VARCHAR", "1e300::VARCHAR",
    "a::DECIMAL(38, 30)::VARCHAR", "MAP {{{0}: {1}}}::VARCHAR", "to_base(a, 2, 64)", "list_sort([{0}, {1}])::VARCHAR",
    "flatten([[{0}], [{1}]])::VARCHAR", "INTERVAL 400 DAY::VARCHAR", "to_timestamp(a)::VARCHAR",
)  # fmt: skip
LEAVES = st.sampled_from(["b", "'k€'", "a::VARCHAR"])


@st.composite
def nested(draw, depth=3):
    """Return an expression of up to three levels of shapes."""
    if depth == 0 or draw(st.booleans()):
        return draw(LEAVES)
    return draw(st.sampled_from(SHAPES)).format(draw(nested(depth - 1)), draw(nested(depth - 1)))


class TestBounds:
    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(expression=nested())
    def test_hold_for_the_value(self, connection, expression):
        try:
            check(connection, {"n": expression})
            value = connection.execute(f"SELECT strlen(({expression})::VARCHAR) FROM t").fetchall()[0][0]
        except (InputError, duckdb.Error):
            return

        length, _ = measure(expressions._checked_tree(connection, "n", expression), {})
        assert (value or 0) <= length.fixed + length.times * len(TEXT.encode())

    def test_hold_for_each_shape(self, connection):
        for shape in SHAPES:
            expression = shape.format("b", "b")
            length, _ = measure(expressions._checked_tree(connection, "n", expression), {})
            value = connection.execute(f"SELECT strlen(({expression})::VARCHAR) FROM t").fetchall()[0][0]
            assert 0 < value <= length.fixed + length.times * len(TEXT.encode()), shape
            assert length.fixed <= LONGEST

    def test_hold_for_every_function_of_texts(self, connection):
        """A function that is not known to make a text counts as a number."""
        rows = connection.execute(
            "SELECT DISTINCT function_name, parameter_types FROM duckdb_functions() WHERE function_type = 'scalar'"
        ).fetchall()
        tried = 0
        for name, types in rows:
            if name in ALLOWED and set(types) <= {"VARCHAR", "ANY", "BLOB", "T", "T[]", "BIGINT", "INTEGER", "JSON"}:
                values = {"VARCHAR": "b", "ANY": "b", "BLOB": "b::BLOB", "T": "b", "T[]": "[b, b]", "JSON": "[b]::JSON"}
                expression = f'"{name}"({", ".join(values.get(type_, "9") for type_ in types)})'
                try:
                    check(connection, {"n": expression})
                    value = connection.execute(f"SELECT strlen(({expression})::VARCHAR) FROM t").fetchall()[0][0]
                # An error about bytes may hold a part of a character.
                except (InputError, duckdb.Error, UnicodeDecodeError):
                    continue
                length, _ = measure(expressions._checked_tree(connection, "n", f"({expression})::VARCHAR"), {})
                assert (value or 0) <= length.fixed + length.times * len(TEXT.encode()), expression
                tried += 1
        assert tried > 80
