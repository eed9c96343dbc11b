"""The serving root on disk and in a bucket: layout and versions."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import serving_roots
from tiffin import storage
from tiffin.errors import Conflict, InputError
from tiffin.serving import model_config
from tiffin.serving.root import (
    CANDIDATE,
    STABLE,
    ServedModel,
    find_configs,
    find_models,
    model_of,
    resolve_root,
)


@pytest.fixture(params=["disk", "bucket"])
def taxi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    """A model on local disk, and one on Cloud Storage."""
    with serving_roots.model_on(request.param, tmp_path) as model:
        yield model


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return serving_roots.make_saved_model(tmp_path)


def left(model: ServedModel) -> list[str]:
    """Return the model's files, without the history."""
    folder = model.locate()
    try:
        names = [file.uri.removeprefix(f"{folder}/") for file in storage.list_files(folder)]
    except InputError:  # no files except locks
        return []
    return [name for name in names if not name.startswith("history/")]


class TestResolveRoot:
    @pytest.mark.parametrize("location", ["gs://bucket/root", "file:///models", "/models"])
    def test_a_location_that_the_servers_can_read(self, location: str) -> None:
        assert resolve_root(location) == location

    def test_a_relative_path_is_made_absolute(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)

        assert resolve_root("models") == str(tmp_path / "models")

    @pytest.mark.parametrize("location", ["s3://bucket/root", "MinIO://bucket/root"])
    def test_s3_is_refused(self, location: str) -> None:
        with pytest.raises(InputError, match=rf"serving_root.* S3\. Received: '{location}'"):
            resolve_root(location)


class TestLayout:
    def test_a_model_has_a_folder(self) -> None:
        model = ServedModel("/root", "taxi")

        assert (model.locate(STABLE), model.locate(CANDIDATE)) == (
            "/root/taxi/stable.config",
            "/root/taxi/candidate.config",
        )

    def test_a_config_has_the_version_and_the_folder_of_all_versions(self) -> None:
        entry = model_config.make_model("taxi", "gs://bucket/root/taxi/versions", [3])
        config = model_config.format_config(model_config.make_config([entry]))

        taxi = ServedModel("gs://bucket/root", "taxi")
        assert taxi.make_config(None) is None
        assert taxi.make_config(3) == config.encode()
        assert taxi.versions_in((config.encode(), "")) == [3]
        assert taxi.is_own((config.encode(), ""))

    def test_a_config_has_the_versions_that_stay_loaded(self) -> None:
        folder = "/root/taxi/versions"
        entries = [
            model_config.make_model("taxi", folder, [2, 3]),
            model_config.make_model("taxi@4", folder, [4]),
            model_config.make_model("taxi@10", folder, [10]),
        ]
        config = model_config.format_config(model_config.make_config(entries)).encode()
        taxi = ServedModel("/root", "taxi")

        assert taxi.make_config(3, [2], [10, 4]) == config
        assert taxi.versions_in((config, "")) == [2, 3]
        assert [
            model_of(entry.name) for entry in model_config.read_config(config.decode()).model_config_list.config
        ] == ["taxi"] * 3

    def test_a_config_of_another_model_or_folder_is_not_its_own(self) -> None:
        taxi, other = ServedModel("/root", "taxi"), model_config.make_model("taxi", "/elsewhere", [1])
        config = model_config.format_config(model_config.make_config([other])).encode()

        assert not taxi.is_own(None)
        assert not taxi.is_own((config, ""))
        assert not ServedModel("/root", "bus").is_own((config, ""))
        assert ServedModel("/root", "bus").versions_in((config, "")) == []

    @pytest.mark.parametrize("name", ["", "..", "../x", "/x"])
    def test_a_name_outside_the_root(self, name: str) -> None:
        with pytest.raises(InputError, match=f"'/root'.*Received: '{name}'"):
            ServedModel("/root", name).read(STABLE)

    def test_the_stable_configs_of_all_models(self, tmp_path: Path) -> None:
        assert find_configs(tmp_path) == []
        for name in ("b/stable.config", "a/stable.config", "a/candidate.config", "a/versions/1/stable.config"):
            storage.write_new(str(tmp_path / name), b"")

        assert find_configs(tmp_path) == [tmp_path / "a" / STABLE, tmp_path / "b" / STABLE]


class TestPublish:
    def test_a_version_is_published_once(self, taxi: ServedModel, saved_model: Path) -> None:
        files = ["versions/1/saved_model.pb", "versions/1/variables/variables.index"]

        assert taxi.publish(saved_model, 1)
        assert left(taxi) == files
        assert not taxi.publish(saved_model, 1)
        assert left(taxi) == files

    def test_a_published_version_never_changes(self, taxi: ServedModel, saved_model: Path) -> None:
        taxi.publish(saved_model, 1)
        (saved_model / "saved_model.pb").write_bytes(b"other")
        with pytest.raises(Conflict, match=r"/taxi/versions/1'"):
            taxi.publish(saved_model, 1)

        assert storage.read_text(taxi.locate("versions", "1", "saved_model.pb")) == "graph"


class TestVersions:
    def test_a_model_without_files(self, taxi: ServedModel) -> None:
        assert taxi.find_versions() == []
        assert not taxi.has_files(1)

    def test_a_version_whose_graph_is_missing_has_no_files(self, taxi: ServedModel, saved_model: Path) -> None:
        taxi.publish(saved_model, 1)
        taxi.publish(saved_model, 12)
        storage.delete(taxi.locate("versions", "1", "saved_model.pb"))

        assert taxi.find_versions() == [12]
        assert not taxi.has_files(1)
        assert taxi.has_files(12)


class TestFindModels:
    def test_an_empty_root_has_none(self, taxi: ServedModel) -> None:
        assert find_models(taxi.root) == []

    def test_a_model_has_a_config_or_a_history(self, taxi: ServedModel) -> None:
        for name in ("b/stable.config", "a/history/00000001.json", "c/versions/1/saved_model.pb"):
            storage.write_new(storage.join(taxi.root, name), b"")
        # A file of a SavedModel.
        storage.write_new(storage.join(taxi.root, "c/versions/1/assets/stable.config"), b"")

        assert find_models(taxi.root) == ["a", "b"]
