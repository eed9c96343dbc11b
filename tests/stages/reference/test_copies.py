"""Copies of references, used while MLflow does not respond."""

import os
from dataclasses import replace

import pytest

from support import gcs_emulator
from support.documents import make_evaluation
from support.references import ALL, GONE, STATISTICS
from support.serving_roots import make_saved_model, put
from tiffin.artifacts.reference import read_reference, write_reference
from tiffin.artifacts.statistics import read_statistics
from tiffin.artifacts.verdict import read_evaluation, write_evaluation
from tiffin.errors import StorageError
from tiffin.stages.reference.reference import find_reference

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


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
        monkeypatch.setenv("MLFLOW_TRACKING_URI", GONE)
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
