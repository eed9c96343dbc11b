"""The pipeline batch_prediction: rows of the source get the predictions of the client, in one part or several."""

import csv
import json
import subprocess
from pathlib import Path

import duckdb
import pytest

from support.command_line import TIFFIN

pytestmark = pytest.mark.runs

DERIVE = {"per_km": '"Preis €" / ("Weg (km)" + 1)', "weekend": 'dayofweek("Bestellt am") IN (0, 6)'}


def write(path, count=400, *, is_late=True):
    """Write orders as a German program does; the first column counts them."""
    with path.open("w", newline="", encoding="cp1252") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["Nr", "Bestellt am", "Preis €", "Weg (km)", "Filiale", *(["Ja?"] if is_late else [])])
        for row in range(count):
            price, km = f"{row % 97 + 0.5:.2f} €".replace(".", ","), f"{row % 31}.0".replace(".", ",")
            label = [("ja" if row % 97 + row % 31 > 60 else "nein")] if is_late else []
            # Leading zeros, which only text keeps.
            writer.writerow([row + 1, f"{row % 28 + 1:02d}.03.2024 12:00", price, km, f"{row % 7:03d}", *label])
    return path


def run(*arguments, expect=0):
    done = subprocess.run([TIFFIN, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    """Return a state folder with a model of orders in production."""
    folder = tmp_path_factory.mktemp("batch")
    orders = write(folder / "orders.csv")
    run("run", "training", "--state", folder / "state", "--set", f"data={orders}", "--set", "label=Ja?", "--set", "epochs=2",
        "--set", f"derive={json.dumps(DERIVE)}", "--set", 'types={"Filiale": "text"}', "--set", "model_name=orders")  # fmt: skip
    yield folder / "state"
    subprocess.run([TIFFIN, "serve", "--stop", "--state", folder / "state"], check=False, capture_output=True)


def predict(state, data, output, *settings, expect=0):
    options = [part for setting in settings for part in ("--set", setting)]
    done = run("run", "batch_prediction", "--state", state, "--set", f"data={data}", "--set", "model_name=orders", "--set",
               "key=Nr", "--set", f"output={output}", *options, "--json", expect=expect)  # fmt: skip
    return json.loads(done.stdout)


def test_rows_have_the_predictions_of_the_client(state, tmp_path):
    # Without the label, which the model does not need.
    data = write(tmp_path / "new.csv", 50, is_late=False)
    found = predict(state, data, tmp_path / "out", "parts=2", 'keep=["Filiale"]')
    [predictions] = found["predictions"].values()
    files = Path(predictions["location"], "*.parquet")
    rows = duckdb.sql(f"SELECT Nr, Filiale, probability, model_version FROM '{files}' ORDER BY Nr").fetchall()
    answers = [json.loads(line) for line in run("predict", data, "--state", state).stdout.splitlines()]

    assert [row[:2] for row in rows] == [(number + 1, f"{number % 7:03d}") for number in range(50)]
    assert [row[2] for row in rows] == pytest.approx([one["outputs"]["probability"] for one in answers], abs=1e-6)
    assert {row[3] for row in rows} == {1}
    assert (predictions["rows"], predictions["versions"], predictions["reused"]) == (50, {"1": 50}, 0)

    again = predict(state, data, tmp_path / "out", "parts=1", 'keep=["Filiale"]')
    [reused] = again["predictions"].values()
    assert (reused["location"], reused["reused"]) == (predictions["location"], predictions["files"])


def test_no_rows_and_mistakes(state, tmp_path):
    data = write(tmp_path / "new.csv", 5, is_late=False)
    found = predict(state, data, tmp_path / "out", "model_version=7", expect=1)
    assert "model_version" in found["reason"]

    lacking = tmp_path / "lacking.csv"
    lacking.write_text("Nr;Bestellt am;Filiale\n1;01.03.2024 12:00;001\n")
    found = predict(state, lacking, tmp_path / "out", expect=1)
    assert "Weg__km_" in found["reason"] or "Preis" in found["reason"]
