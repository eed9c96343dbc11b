"""Predictions for the rows of a file are those of the evaluation: with blanks, quotes, amounts, dates and derived columns."""

import csv
import io
import json
import random
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from support.command_line import TIFFIN
from support.environments import TESTS

pytestmark = pytest.mark.runs

DERIVE = {
    "weekend": 'dayofweek("Bestellt am") IN (0, 6)',
    "per_km": '"Preis €" / ("Weg (km)" + 1)',
    "next_day": '"Bestellt am" + INTERVAL 1 DAY',
    "both": "Stadt || coalesce(\"Has Car?\"::VARCHAR, '')",
}
NAMES = ["Row ID", "Bestellt am", "Preis €", " Weg (km) ", "Stadt", "Has Car?", "Liefertag", "Ja?"]
# Prints the prediction of each row of the examples by its ID, as the evaluation gets it.
_EVALUATE = """
import json, sys
from pathlib import Path
from tiffin.artifacts.model import read_training
from tiffin.artifacts.shards import read_batches
from tiffin.stages.evaluate import predictions
[step] = Path(sys.argv[1]).glob("runs/*/artifacts/*/train-model")
examples, model = step.parent / "ingest-examples" / "examples", step / "model"
record, run = read_training(model), predictions.load(model)["serving_default"]
found = {}
for split in ("train", "eval"):
    ids = [name for _, batch in read_batches(examples, split, ["Row_ID"], 65536) for name in batch.column(0).to_pylist()]
    parts = [answer for _, answer in predictions.predict(run, examples, split, record)]
    found |= zip(ids, (float(value) for part in parts for value in part))
json.dump(found, sys.stdout)
"""


def write(path):
    chance = random.Random(5)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";", lineterminator="\r\n")
    writer.writerow(NAMES)
    for row in range(400):
        moment = datetime(2023, 1, 1) + timedelta(minutes=chance.randrange(900_000))
        price, km = chance.lognormvariate(5, 1.6), chance.uniform(0, 300)
        amount = f"{price:,.2f} €".translate(str.maketrans(",.", ".,"))
        writer.writerow([
            f"r{row:05d}",
            moment.strftime("%d.%m.%Y %H:%M"),
            amount if chance.random() > 0.05 else chance.choice(["", "n/a", "-"]),
            f"{km:.1f}".replace(".", ","),
            chance.choice(['Köln; "Mitte"', "Berlin", "  Bonn ", "N/A", ""]),
            chance.choice(["true", "false"]),
            f"{moment:%Y-%m-%d}" if chance.random() > 0.1 else "",
            "ja" if price / 1000 + km / 100 + (moment.weekday() > 4) > 2 else "nein",
        ])  # fmt: skip
    path.write_bytes(text.getvalue().encode("cp1252"))
    return path


def test_every_row_has_the_prediction_of_the_evaluation(tmp_path):
    file, state = write(tmp_path / "orders.csv"), tmp_path / "state"
    done = subprocess.run(
        [TIFFIN, "run", "training", "--state", state, "--set", f"data={file}", "--set", "label=Ja?", "--set", "epochs=2",
         "--set", f"derive={json.dumps(DERIVE)}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    try:
        assert done.returncode == 0, done.stderr
        predict = [TIFFIN, "predict", str(file), "--state", state]
        done = subprocess.run(predict, capture_output=True, text=True, check=False)
    finally:
        subprocess.run([TIFFIN, "serve", "--stop", "--state", state], check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    model = Path(TESTS.parent, ".venvs", "model", "bin", "python")
    evaluated = json.loads(
        subprocess.run([model, "-c", _EVALUATE, state], capture_output=True, text=True, check=True).stdout
    )

    assert [answer["row"] for answer in answers] == list(range(1, 401))
    assert {answer["outputs"]["classes"] for answer in answers} == {"nein"}
    assert {answer["outputs"]["unreadable_dates"] for answer in answers} == {0}
    found = {f"r{answer['row'] - 1:05d}": answer["outputs"]["probability"] for answer in answers}
    assert len(set(found.values())) > 300
    assert found == pytest.approx(evaluated, abs=1e-6)
