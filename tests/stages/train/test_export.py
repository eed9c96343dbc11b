"""The SavedModel's recipe, and its inputs that are dates."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import tensorflow as tf

from support.trained import SETTINGS
from support.written import table, write_examples, write_schema, write_statistics
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.model import Settings, saved_model
from tiffin.artifacts.recipe import DerivedColumn, Recipe, SourceColumn, read_recipe, recipe_text
from tiffin.errors import InputError
from tiffin.stages.train.training import train

DAY = 86_400
SOURCE = (
    SourceColumn("Bestellt am", "at", "DATE", formats=("%d.%m.%Y",)),
    SourceColumn("km", "km", "DOUBLE", ","),
    SourceColumn("not used", "other", "DOUBLE"),
)
RECIPE = Recipe(SOURCE, (DerivedColumn("tomorrow", "at + INTERVAL 1 DAY", ("at",)), DerivedColumn("x", "1", ())))
# 1970-01-11 in each form, a missing date, and one that cannot be read.
TEXTS = ["1970-01-11", "11.01.1970", "1970-01-11T00:00:00Z", "", "soon"]


def iso(seconds):
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


class Trained:
    """A model with two inputs that are dates, of the source and derived."""

    def __init__(self, folder, **options):
        at = [DAY * (row % 40) for row in range(200)]
        rows = table(
            at=at,
            km=[row / 7 for row in range(200)],
            tomorrow=[day + DAY for day in at],
            late=[row % 40 // 20 for row in range(200)],
        )
        examples = write_examples(folder / "examples", {"train": rows})
        manifest = read_manifest(examples)
        logical = {"at": "date", "tomorrow": "timestamp"}
        columns = tuple(Column(c.name, c.type, logical.get(c.name)) for c in manifest.columns)
        documents.write(
            examples / MANIFEST, replace(manifest, columns=columns, recipe=RECIPE, renamed={"Bestellt am": "at"})
        )
        # As ingest writes them.
        sample = [
            {**row, "at": iso(row["at"])[:10], "tomorrow": iso(row["tomorrow"])}
            for row in rows.slice(0, 20).to_pylist()
        ]
        (examples / "sample_rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in sample))
        self.model = folder / "model"
        settings = Settings(**{**SETTINGS, "epochs": 2})
        self.record = train(
            examples, write_statistics(folder / "statistics", rows), write_schema(folder / "schema", rows), self.model, "late",
            settings=settings, **options,
        )  # fmt: skip
        self.signatures = tf.saved_model.load(str(saved_model(self.model))).signatures

    def ask(self, signature="serving_default", **inputs):
        count = len(next(iter(inputs.values())))
        rows = {"km": [1.0] * count, "at": [""] * count, "tomorrow": [""] * count} | inputs
        kinds = {name: spec.dtype for name, spec in self.signatures[signature].structured_input_signature[1].items()}
        given = {name: tf.constant(rows[name], kind, [count]) for name, kind in kinds.items()}
        return {name: value.numpy() for name, value in self.signatures[signature](**given).items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return Trained(tmp_path_factory.mktemp("dates"))


def test_no_rows(trained):
    found = trained.ask(at=[])
    assert {name: value.shape for name, value in found.items()} == {
        "probability": (0,),
        "classes": (0,),
        "unreadable_dates": (0,),
    }


def test_dates_are_read_in_the_graph(trained):
    found = trained.ask(at=TEXTS)
    assert found["unreadable_dates"].tolist() == [0, 0, 0, 0, 1]
    first, second, third, missing, unreadable = found["probability"].tolist()
    assert first == second == third != missing == unreadable
    # A derived date has no format of the source.
    assert trained.ask(tomorrow=TEXTS)["unreadable_dates"].tolist() == [0, 1, 0, 0, 1]
    assert trained.ask(at=TEXTS, tomorrow=TEXTS)["unreadable_dates"].tolist() == [0, 1, 0, 0, 2]


def test_all_signatures_take_dates_as_text(trained):
    texts = [text.encode() for text in TEXTS]
    examples = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "km": tf.train.Feature(float_list=tf.train.FloatList(value=[1.0])),
                    "at": tf.train.Feature(bytes_list=tf.train.BytesList(value=[text])),
                }
            )
        ).SerializeToString()
        for text in texts
    ]
    scores = trained.signatures["examples"](inputs=tf.constant(examples))["scores"].numpy()
    expected = trained.ask(at=TEXTS)["probability"]
    np.testing.assert_allclose(scores[:, 1], expected, rtol=1e-5)
    score = trained.ask("explain", at=TEXTS)["tiffin_score"]
    np.testing.assert_allclose(1 / (1 + np.exp(-score)), expected, rtol=1e-5)


def test_the_class_of_the_probability(trained):
    assert trained.ask(at=TEXTS)["classes"].tolist() == [b"1"] * len(TEXTS)


def test_the_recipe_has_what_the_inputs_need(trained):
    recipe = read_recipe(saved_model(trained.model))
    assert [column.name for column in recipe.recipe.source] == ["Bestellt am", "km"]
    assert [column.name for column in recipe.recipe.derive] == ["tomorrow"]
    assert {column.name: column.logical for column in recipe.inputs} == {
        "at": "date",
        "km": None,
        "tomorrow": "timestamp",
    }
    assert (recipe.label, recipe.task, recipe.classes, recipe.data_version) == ("late", "binary", ("0", "1"), "d1")


def test_the_signature_recipe_returns_it(trained):
    found = trained.signatures["recipe"](inputs=tf.constant(["", "x"]))["recipe"].numpy().tolist()
    text = recipe_text(read_recipe(saved_model(trained.model)))
    assert found == [text.encode()] * 2
    assert json.loads(text)["label"] == "late"


def test_unreadable_dates_are_refused(tmp_path):
    model = Trained(tmp_path, unreadable_dates="refuse")
    assert model.ask(at=TEXTS[:4])["unreadable_dates"].tolist() == [0, 0, 0, 0]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at .*%d\.%m\.%Y(.|\n)*soon"):
        model.ask(at=TEXTS)


def test_another_choice(tmp_path):
    with pytest.raises(InputError, match=r"unreadable_dates.*'refuse'"):
        Trained(tmp_path, unreadable_dates="refus")
