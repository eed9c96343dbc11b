"""Predictions for rows of the source, by the recipe of the model on the server."""

import asyncio
import datetime
import decimal
import subprocess
import sys

import pytest

from support import model_servers, recipes
from tiffin.errors import InputError, ServingError
from tiffin.serving import AsyncClient, Client

ROWS = [
    {"km €": "1.000,5", "passengers": "2", "Company name": "a", "other": None},
    {"km €": 3, "passengers": 1, "Company name": None},
    {"km__": decimal.Decimal(4), "passengers": 0, "company": "c"},
]
SCORES = [1002.5, 4.0, 4.0]


@pytest.fixture
def server():
    with model_servers.serve() as served:
        served.recipe = recipes.taxi()
        yield served


def scores(address, rows, **options):
    with Client(address) as client:
        return [row["scores"] for row in client.predict_rows("taxi", rows, **options)]


class _Frame:
    """The parts of a pandas data frame that the client uses."""

    def __init__(self, columns):
        self._columns, self.columns, self.dtypes = columns, list(columns), None

    def __getitem__(self, name):
        return type("Series", (), {"to_list": lambda _: self._columns[name]})()


@pytest.mark.parametrize("rows", [[], {}, "x", None, [1]])
def test_no_rows(server, rows):
    with pytest.raises(InputError):
        scores(server.address, rows)


def test_rows_columns_and_data_frames(server):
    columns = {"km €": ["1.000,5", 3], "passengers": ["2", 1], "Company name": ["a", ""]}
    assert scores(server.address, ROWS) == SCORES
    assert scores(server.address, columns) == scores(server.address, _Frame(columns)) == SCORES[:2]
    with pytest.raises(InputError, match=r"passengers: 1.*Company name: 2|km €: 2, passengers: 1"):
        scores(server.address, {**columns, "passengers": [1]})


def test_the_asynchronous_client(server):
    async def ask():
        async with AsyncClient(server.address) as client:
            found = await client.recipe("taxi")
            return found.reader.names, await client.predict_rows("taxi", ROWS)

    names, rows = asyncio.run(ask())
    assert names == ["km €", "passengers", "Company name"]
    assert [row["scores"] for row in rows] == SCORES


def test_the_recipe_is_fetched_once(server):
    with Client(server.address) as client:
        client.predict_rows("taxi", ROWS)
        client.predict_rows("taxi", ROWS)
    assert server.calls("Predict") == 3
    assert server.calls("GetModelMetadata") == 1


def test_another_version_with_another_recipe(server):
    with Client(server.address) as client:
        before = client.predict_rows("taxi", ROWS[:1])
        server.recipe, server.versions = recipes.taxi(4.0), [(3, "AVAILABLE", 0, "")]
        after = client.predict_rows("taxi", ROWS[:1])
    assert (before[0]["scores"], after[0]["scores"]) == (1002.5, 502.25)


class _Gateway:
    """Lets the versions of a server answer in turn, except requests that name one."""

    def __init__(self, server, *recipes):
        self._server, self._recipes, self.number = server, recipes, 0
        server.versions = [(number, "AVAILABLE", 0, "") for number in range(1, len(recipes) + 1)]
        server.answers["Predict"] = self.answer

    def answer(self, request, context):
        self.number += 1
        version = request.model_spec.version.value or 1 + self.number % len(self._recipes)
        self._server.recipe = self._recipes[version - 1]
        response = self._server.Predict(request, context)
        response.model_spec.version.value = version
        return response


@pytest.mark.parametrize("recipe", [recipes.taxi(), recipes.taxi().replace('"d1"', '"d2"')])
def test_a_gateway_that_divides_the_requests_between_versions_that_read_rows_in_the_same_way(server, recipe):
    gateway = _Gateway(server, recipes.taxi(), recipe)
    with Client(server.address) as client:
        client.predict_rows("taxi", ROWS)
        assert gateway.number == 3  # the recipes of both versions are known
        found = [[row["scores"] for row in client.predict_rows("taxi", ROWS)] for _ in range(6)]

    assert found == [SCORES] * 6
    assert gateway.number == 3 + 6


def test_a_gateway_that_divides_the_requests_between_versions_with_different_recipes(server):
    _Gateway(server, recipes.taxi(), recipes.taxi(4.0))

    async def ask():
        async with AsyncClient(server.address) as client:
            return [(await client.predict_rows("taxi", ROWS[:1]))[0]["scores"] for _ in range(6)]

    with Client(server.address) as client:
        found = [client.predict_rows("taxi", ROWS[:1])[0]["scores"] for _ in range(6)]
    # The server's answer follows from the inputs alone.
    assert set(found) | set(asyncio.run(ask())) <= {1002.5, 502.25}


def test_a_version_that_changes_all_the_time(server):
    def change(request, context):
        number = server.versions[0][0] + 1
        server.recipe, server.versions = recipes.taxi(number), [(number, "AVAILABLE", 0, "")]
        return server.Predict(request, context)

    server.answers["Predict"] = change
    with pytest.raises(ServingError) as raised:
        scores(server.address, ROWS)
    assert raised.value.code in ("ABORTED", "NOT_FOUND")


def test_absent_columns(server):
    rows = [ROWS[0], {"km": 1, "Company name": "a"}]
    with pytest.raises(InputError, match=r"^Row 1: .*km €, passengers"):
        scores(server.address, rows)
    rows = [{"passengers": 1, "km €": 1}]
    with pytest.raises(InputError, match="Company name"):
        scores(server.address, rows)
    assert scores(server.address, rows, allow_missing=True) == [2.0]


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"km €": "1.5x"}, r"'km €'.*'1\.5x'"),
        ({"Company name": [1]}, "'Company name'"),
        ({"km €": datetime.date.today()}, "'km €'"),
    ],
)
def test_a_value_that_does_not_fit(server, row, named):
    with pytest.raises(InputError, match=f"^Row 1: .*{named}"):
        scores(server.address, [ROWS[0], {**ROWS[0], **row}])


@pytest.mark.parametrize(
    ("expression", "named"), [("getenv('HOME')", "'getenv'"), ("(SELECT 1)", "subquery"), ("nope + 1", "'nope'")]
)
def test_an_expression_that_ingest_would_refuse(server, expression, named):
    server.recipe = server.recipe.replace("km__ / 2.0", expression)
    with pytest.raises(InputError, match=named):
        scores(server.address, ROWS)


@pytest.mark.parametrize("recipe", ["{}", "x", "[1]"])
def test_no_recipe(server, recipe):
    server.recipe = recipe
    with pytest.raises(InputError, match=r"recipe|Recipe"):
        scores(server.address, ROWS)


def test_another_model_takes_its_inputs(server):
    server.recipe, server.by_tiffin = "", False
    assert scores(server.address, [{"miles": 1.0, "passengers": 1, "company": "a"}]) == [3.0]


def test_derived_columns_need_duckdb(server):
    code = (
        "import sys; sys.modules['duckdb'] = None\n"
        "from tiffin.serving import Client\n"
        "from tiffin.errors import InputError\n"
        f"try: Client('{server.address}').predict_rows('taxi', [{{'km €': 1}}])\n"
        "except InputError as error: print('duckdb' in str(error) and 'miles' in str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
