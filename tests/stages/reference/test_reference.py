"""What monitoring compares with: registered on an MLflow server, and found again."""

import os
import re
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from support.references import ALL, EVALUATION, SCHEMA, STATISTICS, manifest
from support.serving_roots import ADA, lineage, make_saved_model, put
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import read_training
from tiffin.artifacts.reference import Reference, read_reference
from tiffin.artifacts.schema import digest_schema, read_schema
from tiffin.artifacts.statistics import read_statistics
from tiffin.artifacts.verdict import read_evaluation
from tiffin.errors import InputError
from tiffin.governance.approval import nominate
from tiffin.stages.reference import registered
from tiffin.stages.reference.reference import describe, find_reference
from tiffin.stages.register.registry import register

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


class TestRoundTrip:
    @pytest.fixture
    def registration(self, versions):
        return versions("run-1")

    @pytest.fixture
    def found(self, registration, name, server, tmp_path):
        return find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

    def test_the_readers_of_the_artifacts_give_the_same(self, found, artifacts, tmp_path):
        folder = tmp_path / "out"

        assert sorted(os.listdir(folder)) == sorted([*ALL, "reference.json"])
        assert read_statistics(folder) == STATISTICS
        assert read_schema(folder) == SCHEMA
        assert read_evaluation(folder) == EVALUATION
        assert read_training(folder) == read_training(artifacts.model)
        assert digest_schema(folder) == read_training(folder).schema_digest

    def test_the_manifest_has_no_secrets(self, found, tmp_path, store):
        assert read_manifest(tmp_path / "out") == manifest("https://***@host/d.csv")
        assert not [path for path in store.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]

    def test_the_document(self, found, registration, name, server, artifacts, tmp_path):
        digest = digest_schema(artifacts.schema)

        assert found == read_reference(tmp_path / "out")
        assert found == Reference(
            name, 1, registration.run_id, server, "d1", digest, "late", "binary", ("0", "1"), found.files
        )
        assert sorted(found.files) == ALL
        assert found.missing == ()
        assert found.has_statistics
        assert found.has_schema
        assert found.has_evaluation
        assert found.has_training
        assert found.has_examples
        assert len(list(describe(found))) == 1

    def test_is_the_same_twice(self, found, name, server, tmp_path):
        before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
        assert not [path.name for path in tmp_path.iterdir() if path.name.startswith(".")]

    def test_a_retry_of_the_registration_stores_nothing_again(self, registration, versions, client, name):
        assert versions("run-1") == registration
        assert len(client.search_model_versions(f"name = '{name}'")) == 1

    def test_a_database_instead_of_a_server(self, artifacts, tmp_path):
        uri = f"sqlite:///{tmp_path}/mlflow.db"
        inputs = asdict(artifacts)
        register(
            inputs.pop("model"), inputs.pop("evaluation"), tmp_path / "registered", "taxi", tracking_uri=uri, **inputs
        )
        found = find_reference(tmp_path / "out", "taxi", version=1, tracking_uri=uri)

        assert sorted(found.files) == ALL
        assert read_statistics(tmp_path / "out") == STATISTICS


class TestProduction:
    def test_the_version_in_the_serving_root(self, versions, served, name, server, tmp_path):
        for _ in range(3):
            versions()
        # Version 1 stays loaded, and version 3 waits.
        put(served, make_saved_model(tmp_path), 1, 2)
        found = find_reference(tmp_path / "out", name, tracking_uri=server, serving_root=served.root)

        assert found.version == 2

    def test_the_serving_root_of_the_environment(self, versions, served, name, server, tmp_path, monkeypatch):
        monkeypatch.setenv("TIFFIN_SERVING_ROOT", served.root)
        versions()
        put(served, make_saved_model(tmp_path), 1)

        assert find_reference(tmp_path / "out", name, tracking_uri=server).version == 1

    def test_the_alias_without_a_serving_root(self, versions, client, name, server, tmp_path):
        for _ in range(3):
            versions()
        client.set_registered_model_alias(name, "champion", "2")

        assert find_reference(tmp_path / "out", name, tracking_uri=server).version == 2

    def test_a_given_version_needs_no_serving_root(self, versions, name, server, tmp_path):
        versions()
        absent = str(tmp_path / "absent")

        assert find_reference(tmp_path / "out", name, version=1, tracking_uri=server, serving_root=absent).version == 1

    def test_a_serving_root_that_is_not_mounted(self, name, server, tmp_path):
        with pytest.raises(InputError, match=r"^serving_root .*/absent', .*mount"):
            find_reference(tmp_path / "out", name, tracking_uri=server, serving_root=str(tmp_path / "absent"))

    def test_a_serving_root_without_the_model(self, versions, served, name, server, tmp_path):
        versions()
        with pytest.raises(InputError, match=rf"'{name}'.*'{served.root}'.*\bversion\b"):
            find_reference(tmp_path / "out", name, tracking_uri=server, serving_root=served.root)

        assert not (tmp_path / "out").exists()

    def test_a_config_that_is_damaged(self, served, name, server, tmp_path):
        Path(served.locate()).mkdir()
        Path(served.locate("stable.config")).write_bytes(b"model_config_list \xff")
        with pytest.raises(InputError, match="ModelServerConfig"):
            find_reference(tmp_path / "out", name, tracking_uri=server, serving_root=served.root)

    def test_no_alias(self, versions, name, server, tmp_path):
        versions()
        versions()
        with pytest.raises(InputError, match=r"\b1, 2,.*champion.*serving_root"):
            find_reference(tmp_path / "out", name, tracking_uri=server)

    def test_no_model(self, name, server, tmp_path):
        with pytest.raises(InputError, match=rf"'{name}'.*champion"):
            find_reference(tmp_path / "out", name, tracking_uri=server)

    def test_the_version_in_mlflow_is_another_one(self, versions, served, name, server, tmp_path):
        """MLflow was reset, and counts from 1 again."""
        registration = versions()
        served.publish(make_saved_model(tmp_path), 1)
        nominate(served, 1, ADA, "none", replace(lineage(), mlflow_run="0123abc"), "v1", 1)
        put(served, tmp_path / "saved_model", 1)
        with pytest.raises(InputError, match=f"0123abc.*{registration.run_id}"):
            find_reference(tmp_path / "out", name, tracking_uri=server, serving_root=served.root)


class TestBadInput:
    def test_a_version_that_is_not_registered_any_more(self, versions, client, name, server, tmp_path):
        for _ in range(3):
            versions()
        client.delete_model_version(name, "2")
        with pytest.raises(InputError, match=rf"\b2\b.*'{name}'.*\b1, 3\."):
            find_reference(tmp_path / "out", name, version=2, tracking_uri=server)

        assert not (tmp_path / "out").exists()

    def test_only_the_highest_of_many_versions_are_named(self, versions, name, server, tmp_path, monkeypatch):
        monkeypatch.setattr(registered, "_LISTED", 1)
        versions()
        versions()
        with pytest.raises(InputError, match=r"\b2 .*\b1\b"):
            find_reference(tmp_path / "out", name, version=9, tracking_uri=server)

    @pytest.mark.parametrize("bad", ["", "../taxi", "a b"])
    def test_an_invalid_name(self, server, tmp_path, bad):
        with pytest.raises(InputError, match=re.escape(f"model_name='{bad}'")):
            find_reference(tmp_path / "out", bad, tracking_uri=server)

    def test_no_tracking_uri(self, tmp_path):
        with pytest.raises(InputError, match="tracking_uri=''"):
            find_reference(tmp_path / "out", "taxi")

    def test_a_model_of_another_tool(self, client, name, server, tmp_path):
        client.create_registered_model(name)
        run = client.create_run("0").info
        client.create_model_version(name, f"{run.artifact_uri}/model", run.run_id)
        with pytest.raises(InputError, match=r"training\.json.*verdict\.json"):
            find_reference(tmp_path / "out", name, version=1, tracking_uri=server)
