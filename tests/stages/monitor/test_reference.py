"""What monitoring compares with: registered on an MLflow server, and found again."""

import os
import re
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import FileInfo

from support import gcs_emulator
from support.documents import make_evaluation
from support.mlflow_server import mlflow_server, proxy
from support.references import EVALUATION, SCHEMA, STATISTICS, manifest, write_artifacts
from support.serving_roots import ADA, lineage, make_saved_model, put
from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.model import read_training
from tiffin.artifacts.reference import FILES, Reference, read_reference, write_reference
from tiffin.artifacts.schema import digest_schema, read_schema, write_schema
from tiffin.artifacts.statistics import read_statistics
from tiffin.artifacts.verdict import read_evaluation, write_evaluation
from tiffin.errors import InputError, StorageError
from tiffin.governance.approval import nominate
from tiffin.serving.root import ServedModel
from tiffin.stages.monitor import registered
from tiffin.stages.monitor.reference import describe, find_reference
from tiffin.stages.register.registry import register
from tiffin.tracking import faults

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")

ALL = ["manifest.json", "schema.pbtxt", "statistics.binpb", "training.json", "verdict.json"]


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """The folder of the MLflow server, with its artifacts."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture(scope="module")
def server(store):
    with mlflow_server(store) as address:
        yield address


@pytest.fixture
def client(server):
    return MlflowClient(server)


@pytest.fixture
def name(request):
    return re.sub("[^a-z0-9_-]", "-", request.node.name)


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(faults, "WAITS", (0.0,) * 2)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory):
    return write_artifacts(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def versions(artifacts, server, tmp_path, name):
    """Return a function that registers a version with everything, or with other inputs."""

    def make(run="", **changed):
        inputs = {key: value for key, value in (asdict(artifacts) | changed).items() if value}
        model, evaluation = inputs.pop("model"), inputs.pop("evaluation")
        return register(model, evaluation, tmp_path / "registered", name, tracking_uri=server, run=run, **inputs)

    return make


@pytest.fixture
def served(tmp_path, name):
    (tmp_path / "root").mkdir()
    return ServedModel(str(tmp_path / "root"), name)


def gone():
    """Return the address of a server that does not respond."""
    return "http://ada:secret@127.0.0.1:9"


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
        monkeypatch.setenv("MLFLOW_TRACKING_URI", gone())
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


class TestCopies:
    @pytest.fixture
    def state(self, tmp_path):
        return tmp_path / "state"

    @pytest.fixture
    def kept(self, versions, name, server, state, tmp_path):
        """A copy that was kept while MLflow was up."""
        versions()
        return find_reference(tmp_path / "out", name, version=1, tracking_uri=server, state=str(state))

    def restore(self, name, state, tmp_path, monkeypatch, version=1, **given):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", gone())
        return find_reference(tmp_path / "restored", name, version=version, state=str(state), **given)

    def test_is_used_while_mlflow_does_not_respond(self, kept, name, state, tmp_path, monkeypatch):
        found = self.restore(name, state, tmp_path, monkeypatch)
        [note] = found.notes

        assert kept.notes == ()
        assert replace(found, notes=()) == kept
        assert found == read_reference(tmp_path / "restored")
        assert note.code == "REFERENCE_FROM_COPY"
        assert "secret" not in note.text
        assert read_statistics(tmp_path / "restored") == STATISTICS
        assert sorted(os.listdir(tmp_path / "restored")) == sorted([*ALL, "reference.json"])

    def test_of_the_version_in_production(self, kept, served, name, state, tmp_path, monkeypatch):
        put(served, make_saved_model(tmp_path), 1)

        assert self.restore(name, state, tmp_path, monkeypatch, 0, serving_root=served.root).version == 1

    def test_without_a_serving_root_the_version_is_unknown(self, kept, name, state, tmp_path, monkeypatch):
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:9'.*serving_root"):
            self.restore(name, state, tmp_path, monkeypatch, 0)

    def test_of_no_version_yet(self, name, state, tmp_path, monkeypatch):
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:9'.*'{state}/references/{name}/1'"):
            self.restore(name, state, tmp_path, monkeypatch)

    def test_is_kept_once(self, kept, name, server, state, tmp_path):
        folder = state / "references" / name / "1"
        before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
        find_reference(tmp_path / "out", name, version=1, tracking_uri=server, state=str(state))

        assert before == {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}

    def test_is_replaced_once_the_version_is_another_one(self, kept, client, versions, name, server, state, tmp_path):
        client.delete_registered_model(name)
        write_evaluation(tmp_path / "other", make_evaluation())
        versions(evaluation=tmp_path / "other")
        find_reference(tmp_path / "out", name, version=1, tracking_uri=server, state=str(state))

        assert read_evaluation(state / "references" / name / "1") == make_evaluation()

    @pytest.mark.parametrize(
        ("file", "content", "message"),
        [
            ("statistics.binpb", b"other", "statistics.binpb"),
            ("statistics.binpb", None, "statistics.binpb"),
            ("reference.json", b"{}", r"\$\.classes"),
        ],
    )
    def test_that_is_damaged(self, kept, name, state, tmp_path, monkeypatch, file, content, message):
        path = state / "references" / name / "1" / file
        path.unlink() if content is None else path.write_bytes(content)
        with pytest.raises(StorageError, match=rf"127\.0\.0\.1:9'.*/references/.*{message}"):
            self.restore(name, state, tmp_path, monkeypatch)

        assert not (tmp_path / "restored").exists()

    @pytest.mark.parametrize(
        ("changed", "message"),
        [({"version": 2}, r"\b2\b"), ({"files": {"../../../x": "sha"}}, r"'\.\./\.\./\.\./x'")],
    )
    def test_of_something_else(self, kept, name, state, tmp_path, monkeypatch, changed, message):
        write_reference(state / "references" / name / "1", replace(kept, **changed))
        with pytest.raises(StorageError, match=f"/references/.*{message}"):
            self.restore(name, state, tmp_path, monkeypatch)

    def test_that_cannot_be_kept_is_a_note(self, versions, name, server, state, tmp_path):
        versions()
        state.write_text("a file")
        found = find_reference(tmp_path / "out", name, version=1, tracking_uri=server, state=str(state))

        assert [note.code for note in found.notes] == ["REFERENCE_NOT_KEPT"]
        assert found == read_reference(tmp_path / "out")

    def test_in_a_bucket(self, versions, name, server, tmp_path, monkeypatch):
        with gcs_emulator.serve() as bucket:
            versions()
            find_reference(
                tmp_path / "out", name, version=1, tracking_uri=server, state=f"gs://{bucket.name}/monitoring"
            )
            found = self.restore(name, f"gs://{bucket.name}/monitoring", tmp_path, monkeypatch)

        assert [note.code for note in found.notes] == ["REFERENCE_FROM_COPY"]
        assert read_statistics(tmp_path / "restored") == STATISTICS


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
