"""Labels of PostgreSQL, whose programs are in the environment `model` for other tests."""

import psycopg
import pytest

from support.postgres import postgres
from tiffin.errors import InputError
from tiffin.performance.label_sources import read_labels
from tiffin.performance.workspace import open_workspace

RUNS_IN = ("model",)


@pytest.fixture(scope="module")
def server():
    """A server with a table of 30,000 orders."""
    with postgres() as server:
        with psycopg.connect(server.uri.replace("+psycopg", "")) as connection:
            connection.execute(
                "CREATE TABLE orders AS SELECT i AS id, (i % 2 = 0) AS late, CAST(i AS numeric) / 2 AS minutes, "
                "TIMESTAMPTZ '2026-03-01 12:00Z' + i * INTERVAL '1 second' AS told FROM generate_series(0, 29999) AS i"
            )
        yield server


@pytest.fixture(autouse=True)
def url(server, monkeypatch):
    """The URL of the server in the environment."""
    monkeypatch.setenv("TIFFIN_LABELS_URL", server.uri)


def read(query):
    with open_workspace() as workspace:
        table = read_labels(workspace, query)
        return table, workspace.fetch("SELECT name, time, label FROM labels ORDER BY place")


def test_values_and_times():
    table, rows = read("SELECT id AS key, told AS time, late AS label FROM orders ORDER BY id")

    assert (table.rows, table.without_zone, rows[0]) == (30_000, 0, ("0", 1_772_366_400_000_000, "true"))
    assert rows[-1] == ("29999", 1_772_366_400_000_000 + 29_999_000_000, "false")


def test_decimals():
    assert read("SELECT id AS key, minutes AS label FROM orders WHERE id < 2 ORDER BY id")[1] == [
        ("0", None, "0"),
        ("1", None, "0.50000000000000000000"),
    ]


def test_nothing_changes():
    with pytest.raises(InputError, match="TIFFIN_LABELS_URL"):
        read("WITH gone AS (DELETE FROM orders RETURNING id) SELECT id AS key, 1 AS label FROM gone")

    assert read("SELECT id AS key, 1 AS label FROM orders")[0].rows == 30_000


def test_no_server(monkeypatch):
    monkeypatch.setenv("TIFFIN_LABELS_URL", "postgresql+psycopg://ada:hunter2@127.0.0.1:1/shop")

    with pytest.raises(InputError, match="TIFFIN_LABELS_URL") as error:
        read("SELECT 1 AS key, 1 AS label")

    assert "hunter2" not in str(error.value)
