"""What an MLflow run holds: parameters, metrics and data sets."""

import json

import pytest

from support.documents import make_evaluation, make_manifest, make_training
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Source, Split
from tiffin.artifacts.model import EpochLoss
from tiffin.artifacts.verdict import Check
from tiffin.stages.register import contents

SPLITS = {"train": Split(60, ("a",)), "eval": Split(30, ("b",))}
COLUMNS = (
    Column("km", "FLOAT"),
    Column("day", "INT", "date"),
    Column("city", "STRING"),
    Column("rush", "INT", "boolean"),
)


def manifest(*uris, **changed):
    from dataclasses import replace

    sources = tuple(Source(uri, f"sha-{number}", 9) for number, uri in enumerate(uris))
    return replace(make_manifest("d17", SPLITS, COLUMNS), sources=sources, **changed)


class TestParameters:
    def test_of_nothing(self):
        assert contents.parameters(None, None, None) == {}

    def test_of_all_artifacts(self):
        checks = (Check("auc", 0.9, 0.8, True, ""), Check("log_loss", 0.3, 0.6, True, "", 0.1, 90, code="BASELINE"))
        found = contents.parameters(
            manifest("/data/a.csv", derive={"twice": "2 * km"}, exclude=("city",), key="id"),
            make_training(),
            make_evaluation(checks=checks),
        )

        assert found["data"] == '["/data/a.csv"]'
        assert (found["derive"], found["exclude"], found["key"]) == ('{"twice": "2 * km"}', '["city"]', "id")
        assert found["splits"] == '{"train": 60, "eval": 30}'
        assert (found["label"], found["task"], found["epochs"]) == ("late", "binary", "0")
        # The check against guessing has no threshold that a user set.
        assert found["thresholds"] == '{"auc": 0.8}'

    def test_a_password_in_a_uri_is_masked(self):
        found = contents.parameters(manifest("https://ada:hunter2@host/a.csv"), None, None)

        assert "hunter2" not in found["data"]

    @pytest.mark.parametrize(("length", "is_cut"), [(5999, False), (6000, False), (6001, True)])
    def test_long_values_are_cut_and_named(self, length, is_cut):
        values, cut = contents.shortened({"derive": "x" * length, "key": ""}, contents.LONGEST_PARAMETER)

        assert cut == (["derive"] if is_cut else [])
        assert len(values["derive"]) == min(length, 6000)
        assert values["derive"].endswith("…") == is_cut


class TestMetrics:
    def test_of_nothing(self):
        assert contents.metrics(None, None, 5) == []

    def test_a_metric_without_a_value_is_left_out(self):
        found = contents.metrics(make_evaluation(), None, 5, model_id="m-1")

        assert [(metric.key, metric.value, metric.timestamp, metric.model_id) for metric in found] == [
            ("auc", 0.9, 5, "m-1")
        ]

    def test_the_loss_of_each_epoch(self):
        found = contents.metrics(None, make_training(losses=(0.6, float("nan"), 0.4)), 5)

        assert [metric.step for metric in found] == [1, 2, 3]
        assert {metric.key for metric in found} == {"training_loss"}

    def test_the_curve_of_the_search(self):
        record = make_training(losses=(), search=(EpochLoss(4, 0.5, 0.75), EpochLoss(8, 0.25, None)))
        found = contents.metrics(None, record, 5)

        assert [(metric.key, metric.step, metric.value) for metric in found] == [
            ("search_loss", 4, 0.5), ("held_out_loss", 4, 0.75), ("search_loss", 8, 0.25),
        ]  # fmt: skip


class TestDatasets:
    def test_a_data_set_for_each_split(self):
        train, other = contents.datasets(manifest("/data/a.csv", "/data/b.csv"))

        assert [(d.dataset.name, d.tags[0].value) for d in (train, other)] == [
            ("a.csv/train", "training"), ("a.csv/eval", "eval"),
        ]  # fmt: skip
        assert (train.dataset.digest, train.dataset.source_type) == ("d17", "local")
        assert json.loads(train.dataset.source) == {
            "uri": "/data/a.csv",
            "files": [{"uri": "/data/a.csv", "sha256": "sha-0"}, {"uri": "/data/b.csv", "sha256": "sha-1"}],
        }
        assert json.loads(train.dataset.profile) == {"num_rows": 60, "num_elements": 240}
        columns = json.loads(train.dataset.schema)["mlflow_colspec"]
        assert [(c["name"], c["type"]) for c in columns] == [
            ("km", "double"), ("day", "datetime"), ("city", "string"), ("rush", "boolean"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("uri", "kind"),
        [("gs://b/a.csv", "gs"), ("s3://b/a.csv", "s3"), ("file:///a.csv", "local"), ("a.csv", "local")],
    )
    def test_types_of_sources(self, uri, kind):
        assert contents.datasets(manifest(uri))[0].dataset.source_type == kind

    def test_without_sources(self):
        assert contents.datasets(manifest())[0].dataset.name == "examples/train"

    def test_more_sources_than_mlflow_stores(self):
        found = contents.datasets(manifest(*(f"/data/{number:06}.csv" for number in range(2000))))[0].dataset

        assert json.loads(found.source) == {"uri": "/data/000000.csv", "number_of_files": 2000}

    def test_mlflow_reads_the_source(self):
        import mlflow.data

        source = mlflow.data.get_source(contents.datasets(manifest("/data/a.csv"))[0].dataset)

        assert source.uri == "/data/a.csv"
