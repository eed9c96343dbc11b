"""Labels of a database."""

import sqlite3

import pytest

from tiffin.errors import InputError
from tiffin.performance.label_queries import is_query
from tiffin.performance.label_sources import read_labels
from tiffin.performance.workspace import open_workspace

QUERY = "SELECT order_id AS key, late AS label, told AS time FROM orders ORDER BY order_id"


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A database with three orders, whose URL is in the environment."""
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE orders (order_id INTEGER, late REAL, told TEXT, note BLOB)")
        rows = [(1, 1.0, "2026-03-01T12:00:00Z", b"x"), (2, 0.0, None, None), (3, None, None, None)]
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
    database.close()
    monkeypatch.setenv("TIFFIN_LABELS_URL", f"sqlite:///{path}")
    return path


def read(query, **options):
    with open_workspace() as workspace:
        table = read_labels(workspace, query, **options)
        return table, workspace.fetch("SELECT name, row, time, label FROM labels ORDER BY place")


def test_what_is_a_query():
    assert is_query("SELECT 1")
    assert is_query("\n with x AS (SELECT 1) SELECT * FROM x")
    assert not is_query("selected/labels.csv")
    assert not is_query("DELETE FROM orders")


def test_no_rows(shop):
    table, rows = read(f"SELECT * FROM ({QUERY}) WHERE key = 0")

    assert (rows, [one.code for one in table.findings]) == ([], ["EMPTY_FILE"])


def test_rows(shop):
    table, rows = read(QUERY)

    assert rows == [("1", 0, 1_772_366_400_000_000, "1"), ("2", 0, None, "0")]
    assert (table.by, table.skipped, table.files) == ("key", {"no_label": 1}, 0)


def test_many_rows_and_another_variable(shop, monkeypatch):
    monkeypatch.setenv("SHOP", f"sqlite:///{shop}")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 24999) "

    table, rows = read(f"{numbers} SELECT i AS request_id, i % 2 AS label FROM n", url_variable="SHOP")

    assert (table.rows, rows[-1]) == (25_000, ("24999", 0, None, "1"))


def test_signs_of_parameters_are_none(shop):
    assert read("SELECT 1 AS key, 'a:b%c?' AS label")[1] == [("1", 0, None, "a:b%c?")]


def test_nothing_changes_in_the_database(shop):
    with pytest.raises(InputError):
        read("WITH x AS (SELECT 1) DELETE FROM orders")

    database = sqlite3.connect(shop)
    assert database.execute("SELECT count(*) FROM orders").fetchone() == (3,)
    database.close()


@pytest.mark.parametrize(
    "query", ["SELECT nothing FROM orders", "SELECT", "SELECT * FROM missing", "SELECT 1; SELECT 2"]
)
def test_query_fails(shop, query):
    with pytest.raises(InputError, match="TIFFIN_LABELS_URL") as error:
        read(query + " ")

    assert str(shop) not in str(error.value)


def test_columns_are_missing(shop):
    with pytest.raises(InputError, match="order_id, late"):
        read("SELECT order_id, late FROM orders")


def test_variable_is_not_set():
    with pytest.raises(InputError, match="TIFFIN_LABELS_URL"):
        read("SELECT 1")


@pytest.mark.parametrize("url", ["secret:word", "nothing://ada:hunter2@host/x", "sqlite:////missing/folder/x.db"])
def test_url_is_not_shown(monkeypatch, url):
    monkeypatch.setenv("TIFFIN_LABELS_URL", url)

    with pytest.raises(InputError, match="TIFFIN_LABELS_URL") as error:
        read("SELECT 1 AS key, 1 AS label")

    assert url not in str(error.value)
    assert "hunter2" not in str(error.value)


def test_driver_is_missing(monkeypatch):
    monkeypatch.setenv("TIFFIN_LABELS_URL", "mysql+pymysql://ada:hunter2@host/shop")

    with pytest.raises(InputError, match="pymysql") as error:
        read("SELECT 1 AS key, 1 AS label")

    assert "hunter2" not in str(error.value)
