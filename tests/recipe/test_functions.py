"""Every function that DuckDB lists: those that expressions may use read no file, network, setting or clock."""

import ctypes
import datetime
import os
import re
import struct
import time

import duckdb
import pytest

from tiffin.errors import InputError
from tiffin.recipe.expressions import order_derived, seal
from tiffin.recipe.functions import ALLOWED, FUNCTIONS, TYPES

SECRET = "canary-4711"
DAY = 86_400
# Values of arguments by DuckDB's type; a text is any of the hostile ones.
VALUES = {
    "BOOLEAN": "true", "TINYINT": "2", "SMALLINT": "2", "INTEGER": "2", "BIGINT": "2", "UBIGINT": "2", "HUGEINT": "2",
    "FLOAT": "1.5::FLOAT", "DOUBLE": "0.5::DOUBLE", "DECIMAL": "1.5", "DATE": "DATE '1987-06-05'", "TIME": "TIME '03:02:01'",
    "TIMESTAMP": "TIMESTAMP '1987-06-05 03:02:01'", "TIMESTAMP WITH TIME ZONE": "'1987-06-05 03:02:01'::TIMESTAMPTZ",
    "TIMESTAMP_NS": "'1987-06-05 03:02:01'::TIMESTAMP_NS", "INTERVAL": "INTERVAL 2 DAY", "BLOB": "'ab'::BLOB",
    "JSON": "'{\"a\": 1}'::JSON", "UUID": "'12345678-1234-1234-1234-123456789abc'::UUID",
}  # fmt: skip


class Watch:
    """Counts how often a file is opened by any process, with Linux' inotify."""

    def __init__(self, path):
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self.libc.inotify_init1(os.O_NONBLOCK)
        assert self.libc.inotify_add_watch(self.descriptor, os.fsencode(path), 0x20) >= 0

    def opened(self):
        try:
            return len(os.read(self.descriptor, 65_536)) // struct.calcsize("iIII")
        except BlockingIOError:
            return 0


@pytest.fixture(scope="module")
def canary(tmp_path_factory):
    path = tmp_path_factory.mktemp("canary") / "secret.csv"
    path.write_text(f"{SECRET}\n{SECRET}\n")
    return path


@pytest.fixture(scope="module")
def watch(canary):
    watch = Watch(canary)
    yield watch
    os.close(watch.descriptor)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    """Two connections that differ in all that a session may have."""
    folder = tmp_path_factory.mktemp("sessions")
    with duckdb.connect() as one, duckdb.connect(str(folder / "other.duckdb")) as two:
        two.execute(
            "CREATE SCHEMA elsewhere; SET schema='elsewhere'; SET VARIABLE threads=7; CREATE SEQUENCE serial START 5"
        )
        two.execute(
            "SET threads=3; SET memory_limit='300MB'; SET temp_directory='/tmp/elsewhere'; SET null_order='nulls_first'"
        )
        for connection in (one, two):
            connection.execute("SET TimeZone='UTC'")
        yield one, two


def hostile_texts(canary):
    plan = f"SELECT * FROM read_text(''{canary}'')"
    return (
        f"'{canary}'", f"'{plan}'", f"concat('{plan}')", "'http://127.0.0.1:9/x.csv'", "'threads'", "'HOME'", "'serial'", "'UTC'",
        "'day'", "'%d'", "'a'", "'2'", "''",
    )  # fmt: skip


def calls(name, types, texts):
    """Yield calls of an overload: with each hostile text in all places of texts, and with it in one place only."""
    arguments = [VALUES.get(type_, "") for type_ in types]
    places = [place for place, value in enumerate(arguments) if not value]
    for text in texts if places else [""]:
        for alone in [None, *places] if len(places) > 1 else [None]:
            filled = [value or (text if alone in (None, place) else "'day'") for place, value in enumerate(arguments)]
            yield f'"{name}"({", ".join(filled)})'


def overloads(connection):
    """Return each function that DuckDB lists, of any kind, with the types of its parameters; None is any type."""
    rows = connection.execute(
        "SELECT DISTINCT function_name, parameter_types, varargs, function_type FROM duckdb_functions() ORDER BY ALL"
    ).fetchall()
    return [
        (name, [re.sub(r"\(.*", "", type_ or "ANY") for type_ in types] + ([varargs] * 2 if varargs else []), kind)
        for name, types, varargs, kind in rows
    ]


def outcome(connection, expression):
    try:
        return str(connection.execute(f"SELECT CAST(({expression}) AS VARCHAR)").fetchall())
    except duckdb.Error as error:
        return f"error: {error}"


def problems(sessions, watch, expression):
    """Return what an expression depends on besides its arguments."""
    watch.opened()
    one, two = (outcome(connection, expression) for connection in sessions)
    found = []
    if watch.opened():
        found.append("file")
    if SECRET in one + two:
        found.append("content")
    if one != two:
        found.append("session")
    if duckdb.__version__ in one:
        found.append("version")
    today = datetime.datetime.now(datetime.UTC).date()
    if any(str(today + datetime.timedelta(days)) in one for days in (-1, 0, 1)):
        found.append("clock")
    numbers = [float(digits) for digits in re.findall(r"\d{10,20}", one)]
    if any(abs(number / unit - time.time()) < DAY for number in numbers for unit in (1, 1e3, 1e6, 1e9)):
        found.append("clock")
    return found


def accepted(connection, expression):
    try:
        order_derived(connection, {"n": expression}, ["a"])
    except InputError:
        return False
    return True


class TestFunctions:
    @pytest.mark.parametrize(
        ("expression", "found"),
        [
            ("(SELECT content FROM read_text('{canary}'))", "content"),
            ("(SELECT count(*) FROM read_csv('{canary}'))", "file"),
            ("json_serialize_plan(concat('SELECT * FROM read_csv(''{canary}'')'))", "file"),
            ("json_serialize_plan(concat('SELECT CAST(x AS INT) FROM read_csv(''{canary}'', skip=1) AS t(x)'), optimize := true)",
             "file"),
            ("current_setting('threads')", "session"),
            ("current_schema()", "session"),
            ("current_database()", "session"),
            ("getvariable('threads')", "session"),
            ("random()", "session"),
            ("uuid()", "session"),
            ("uuidv7()", "session"),
            ("version()", "version"),
            ("now()", "clock"),
            ("today()", "clock"),
            ("epoch_us(get_current_timestamp())", "clock"),
            ("current_localtimestamp()", "clock"),
            ("ago(INTERVAL 1 HOUR)", "clock"),
        ],
    )  # fmt: skip
    def test_the_watch_finds_those_that_depend_on_more_than_their_arguments(
        self, sessions, watch, canary, expression, found
    ):
        expression = expression.format(canary=canary)

        assert found in problems(sessions, watch, expression)
        assert not accepted(sessions[0], expression)

    def test_all_that_are_accepted_depend_on_their_arguments_only(self, sessions, watch, canary):
        texts = hostile_texts(canary)
        tried, failed = set(), []

        for name, types, _ in overloads(sessions[0]):
            for expression in calls(name, types, texts) if name in ALLOWED else ():
                if accepted(sessions[0], expression):
                    tried.add(name)
                    failed += [(expression, found) for found in problems(sessions, watch, expression)]

        assert failed == []
        # All that the parser writes as a call; others, such as `^@`, are operators only, and are among them too.
        assert tried == ALLOWED

    def test_the_rest_is_refused_by_name(self, sessions):
        listed = {(name, kind) for name, _, kind in overloads(sessions[0])}
        assert {kind for _, kind in listed} >= {"scalar", "macro", "aggregate", "window", "table", "pragma"}

        for name, _ in sorted(listed):
            if name not in ALLOWED:
                with pytest.raises(InputError, match=rf"(?i)'{re.escape(name)}'"):
                    order_derived(sessions[0], {"n": f'"{name}"(a)'}, ["a"])

    def test_all_are_known_to_duckdb_and_listed_once(self, sessions):
        known = {name for name, _, _ in overloads(sessions[0])}

        assert [name for name in ALLOWED if name not in known] == []
        assert sum(map(len, FUNCTIONS.values())) == len(ALLOWED)

    @pytest.mark.parametrize("operator", ["+", "-", "*", "/", "//", "%", "||", "~~", "^", "**", "<<", "&"])
    def test_operators_are_allowed_whatever_their_overloads_for_time_zones_are_marked_as(self, operator):
        assert operator in ALLOWED

    def test_those_that_depend_on_the_session_depend_on_the_time_zone_at_most(self, sessions):
        """Ingest sets the time zone. A function that depends on something else of the session fails here."""
        rows = sessions[0].execute(
            "SELECT function_name, parameter_types, stability FROM duckdb_functions() "
            "WHERE function_type = 'scalar' AND stability <> 'CONSISTENT'"
        )
        for name, types, stability in rows.fetchall():
            times = name.startswith("make_timestamptz") or any(re.match("TIME|DATE", type_) for type_ in types)
            assert name not in ALLOWED or (times and stability == "CONSISTENT_WITHIN_QUERY"), (name, types)


class TestTypes:
    def test_a_cast_to_each_is_accepted(self, sessions):
        for type_ in sorted(TYPES - {"list", "struct", "map"}):
            assert accepted(sessions[0], f"CAST(a AS {type_})"), type_

    @pytest.mark.parametrize("type_", ["INT[]", "STRUCT(x INT)", "MAP(INT, VARCHAR)", "DECIMAL(4, 2)[]"])
    def test_nested(self, sessions, type_):
        assert accepted(sessions[0], f"CAST(a AS {type_})")

    @pytest.mark.parametrize(
        ("type_", "named"),
        [
            ("INT[100000]", "array"), ("ENUM('x')", "ENUM"), ("BIT", "BIT"), ("TIMETZ", "TIMETZ"), ("FOO", "FOO"),
            ("TIME WITH TIME ZONE", "TIME WITH TIME ZONE"),
            ("STRUCT(x BIT)", "BIT"), ("regclass", "regclass"),
        ],
    )  # fmt: skip
    def test_others_are_refused(self, sessions, type_, named):
        with pytest.raises(InputError, match=rf"derive\['n'\].*type '{named}'"):
            order_derived(sessions[0], {"n": f"CAST(a AS {type_})"}, ["a"])


class TestSeal:
    @pytest.fixture
    def sealed(self, tmp_path):
        (tmp_path / "out").mkdir()
        with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
            seal(connection, tmp_path / "out")
            yield connection

    def test_opens_no_file(self, sealed, canary, watch, tmp_path):
        watch.opened()
        for statement in (
            f"SELECT * FROM read_text('{canary}')",
            f"SELECT * FROM '{canary}'",
            f"ATTACH '{canary}' AS other",
            f"COPY (SELECT 1) TO '{tmp_path}/elsewhere.csv'",
            f"COPY (SELECT 1) TO '{tmp_path}/out/../elsewhere.csv'",
            "SET threads=1",
            "SET allowed_directories=['/']",
            "LOAD httpfs",
        ):
            with pytest.raises(duckdb.Error):
                sealed.execute(statement)
        planned = outcome(sealed, f"json_serialize_plan(concat('SELECT * FROM read_csv(''{canary}'')'))")

        assert (watch.opened(), SECRET in planned, os.listdir(tmp_path / "out")) == (0, False, [])

    def test_leaves_the_folder_and_the_database(self, sealed, tmp_path):
        sealed.execute("CREATE TABLE t AS SELECT range AS a FROM range(10)")
        sealed.execute(f"COPY t TO '{tmp_path}/out/t.parquet'")

        assert os.listdir(tmp_path / "out") == ["t.parquet"]
