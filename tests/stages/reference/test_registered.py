"""What MLflow has of a version: incomplete references, and requests that fail."""

import os
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
from mlflow.entities import FileInfo

from support.mlflow_server import proxy
from support.references import EVALUATION, GONE, SCHEMA, STATISTICS
from tiffin.artifacts.model import read_training
from tiffin.artifacts.reference import FILES
from tiffin.artifacts.schema import write_schema
from tiffin.artifacts.statistics import read_statistics
from tiffin.artifacts.verdict import read_evaluation
from tiffin.errors import InputError, StorageError
from tiffin.stages.reference import registered
from tiffin.stages.reference.reference import find_reference
from tiffin.stages.register.registry import register

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


class TestIncomplete:
    def test_a_version_without_statistics_and_schema(self, versions, name, server, tmp_path):
        versions(statistics="", schema="", examples="")
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server)
        [note] = found.notes

        assert found.missing == ("statistics.binpb", "schema.pbtxt", "manifest.json")
        assert (note.code, note.count) == ("REFERENCE_INCOMPLETE", 3)
        assert read_evaluation(tmp_path / "out") == EVALUATION
        with pytest.raises(InputError, match=r"statistics\.binpb"):
            read_statistics(tmp_path / "out")

    @pytest.fixture
    def earlier(self, versions, store):
        """A version as an earlier Tiffin registered it."""
        run_id = versions().run_id
        [folder] = store.glob(f"artifacts/*/{run_id}/artifacts")
        shutil.rmtree(folder / "reference")
        return folder

    def test_a_version_of_an_earlier_tiffin(self, earlier, name, server, tmp_path, artifacts):
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert sorted(found.files) == ["training.json", "verdict.json"]
        assert read_training(tmp_path / "out") == read_training(artifacts.model)
        assert read_evaluation(tmp_path / "out") == EVALUATION
        assert [note.code for note in found.notes] == ["REFERENCE_INCOMPLETE"]
        assert (found.label, found.task) == ("late", "binary")

    def test_only_the_record_of_the_training(self, earlier, name, server, tmp_path):
        shutil.rmtree(earlier / "evaluation")
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert list(found.files) == ["training.json"]

    def test_only_the_evaluation(self, earlier, name, server, store, tmp_path, client):
        source = client.get_model_version(name, "1").source.rpartition("/models/")[2]
        [record] = store.glob(f"artifacts/*/models/{source}/training.json")
        record.unlink()
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert list(found.files) == ["verdict.json"]
        assert (found.label, found.task, found.data_version) == ("", "binary", "d1")

    def test_a_run_that_was_deleted(self, versions, client, name, server, tmp_path):
        client.delete_run(versions().run_id)

        # Its files are there until MLflow collects them.
        assert find_reference(tmp_path / "out", name, version=1, tracking_uri=server).version == 1

    def test_a_record_that_is_damaged(self, versions, store, name, server, tmp_path):
        [record] = store.glob(f"artifacts/*/{versions().run_id}/artifacts/reference/training.json")
        record.write_text("{}")
        with pytest.raises(InputError, match=rf"training\.json.*{name}.*\$\.classes"):
            find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert not (tmp_path / "out").exists()


class TestFaults:
    def test_a_request_that_fails_is_repeated(self, versions, name, server, tmp_path):
        versions()
        failed = []

        def fault(_method, path):
            if "reference%2Fstatistics" in path or path.endswith("/statistics.binpb"):
                failed.append(path)
                return "503" if len(failed) == 1 else "close" if len(failed) == 2 else ""
            return ""

        with proxy(server, fault) as address:
            find_reference(tmp_path / "out", name, version=1, tracking_uri=address)

        assert len(failed) > 2
        assert read_statistics(tmp_path / "out") == STATISTICS

    def test_mlflow_does_not_respond(self, name, tmp_path, monkeypatch):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", GONE)
        with pytest.raises(StorageError, match=r"MLflow.*'http://\*\*\*@127\.0\.0\.1:9'") as raised:
            find_reference(tmp_path / "out", name, version=1)

        assert "secret" not in str(raised.value)
        assert not (tmp_path / "out").exists()

    def test_a_listing_names_no_other_files(self, tmp_path):
        (tmp_path / "schema.pbtxt").touch()
        listed = [
            FileInfo("../../elsewhere/verdict.json", False, 1),
            FileInfo("reference/passwd", False, 1),
            FileInfo("reference/..", True, None),
            FileInfo("reference/training.json", True, None),
            FileInfo("reference/schema.pbtxt", False, 1),
        ]

        # The names of files are never those of the listing, and a file that is there stays.
        assert registered._wanted(listed, FILES, tmp_path) == ["verdict.json"]

    def test_a_download_that_is_elsewhere(self, tmp_path):
        (tmp_path / "elsewhere").write_text("secret")
        folder = tmp_path / "folder"
        folder.mkdir()

        def link(scratch):
            Path(scratch, "link").symlink_to(tmp_path / "elsewhere")
            return f"{scratch}/link"

        for download in (lambda _: str(tmp_path / "elsewhere"), link, lambda scratch: scratch):
            with pytest.raises(StorageError, match=r"'verdict\.json' in MLflow"):
                registered._put(download, folder / "verdict.json")

        assert os.listdir(folder) == []


class TestRegistration:
    def test_an_upload_that_fails_is_repeated(self, artifacts, client, name, server, tmp_path):
        failed = []

        def fault(method, path):
            if method == "PUT" and path.endswith("/reference/statistics.binpb"):
                failed.append(path)
                return ["503", "lose"][len(failed) - 1] if len(failed) < 3 else ""
            return ""

        inputs = asdict(artifacts)
        model, evaluation = inputs.pop("model"), inputs.pop("evaluation")
        with proxy(server, fault) as address:
            register(model, evaluation, tmp_path / "registered", name, tracking_uri=address, run="run-1", **inputs)
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server)

        assert len(failed) == 3
        assert len(client.search_model_versions(f"name = '{name}'")) == 1
        assert found.missing == ()

    def test_another_schema_than_in_training(self, versions, client, name, tmp_path):
        write_schema(tmp_path / "other", type(SCHEMA)())
        with pytest.raises(InputError, match=r"^schema .*/other'"):
            versions(schema=tmp_path / "other")

        assert client.search_model_versions(f"name = '{name}'") == []

    def test_statistics_without_their_file(self, versions, name, tmp_path):
        with pytest.raises(InputError, match=r"statistics\.binpb.*/empty'"):
            versions(statistics=tmp_path / "empty")
