"""The serving root on disk and in a bucket: layout, changes and history."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import gcs_emulator
from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.serving import model_config, root
from tiffin.serving.root import CANDIDATE, STABLE, ServedModel, find_stable_configs, resolve_root


class Broken(Exception):
    """An error while a version is put into service."""


@pytest.fixture(params=["disk", "bucket"])
def taxi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    """A model on local disk, and one on Cloud Storage."""
    if request.param == "disk":
        yield ServedModel(str(tmp_path / "root"), "taxi")
    else:
        with gcs_emulator.serve() as bucket:
            yield ServedModel(f"gs://{bucket.name}/root", "taxi")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    (tmp_path / "saved_model" / "variables").mkdir(parents=True)
    (tmp_path / "saved_model" / "saved_model.pb").write_bytes(b"graph")
    (tmp_path / "saved_model" / "variables" / "variables.index").write_bytes(b"weights")
    return tmp_path / "saved_model"


def left(model: ServedModel) -> list[str]:
    """Return the model's files, without the history."""
    folder = model.locate()
    try:
        names = [file.uri.removeprefix(f"{folder}/") for file in storage.list_files(folder)]
    except InputError:  # no files except locks
        return []
    return [name for name in names if not name.startswith("history/")]


def put(model: ServedModel, saved_model: Path, version: int) -> None:
    new = model.publish(saved_model, version)
    with model.in_service(version, f"version {version}", new=new):
        pass


def changes(model: ServedModel) -> list[tuple[str | None, str | None]]:
    return [(record["from"], record["to"]) for record in model.history()]


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

        assert ServedModel("gs://bucket/root", "taxi").make_config(3) == config.encode()

    @pytest.mark.parametrize("name", ["", "..", "../x", "/x"])
    def test_a_name_outside_the_root(self, name: str) -> None:
        with pytest.raises(InputError, match=f"'/root'.*Received: '{name}'"):
            ServedModel("/root", name).read(STABLE)

    def test_the_stable_configs_of_all_models(self, tmp_path: Path) -> None:
        assert find_stable_configs(tmp_path) == []
        for name in ("b/stable.config", "a/stable.config", "a/candidate.config", "a/versions/1/stable.config"):
            storage.write_new(str(tmp_path / name), b"")

        assert find_stable_configs(tmp_path) == [tmp_path / "a" / STABLE, tmp_path / "b" / STABLE]


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


class TestInService:
    def test_the_stable_config_has_the_version(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        put(taxi, saved_model, 2)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(2)
        one, two = taxi.make_config(1).decode(), taxi.make_config(2).decode()
        assert changes(taxi) == [(None, one), (one, two)]

    def test_the_config_is_changed_before_the_block_runs(self, taxi: ServedModel, saved_model: Path) -> None:
        new = taxi.publish(saved_model, 1)
        with taxi.in_service(1, "", new=new):
            assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)

    def test_the_same_version_again_changes_nothing(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        before = taxi.read(STABLE)
        put(taxi, saved_model, 1)

        assert taxi.read(STABLE) == before
        assert len(taxi.history()) == 1

    def fail(
        self,
        model: ServedModel,
        saved_model: Path,
        version: int,
        meanwhile: Callable[[ServedModel], None] = lambda _model: None,
    ) -> None:
        def wait() -> None:
            meanwhile(model)
            raise Broken("no answer")

        new = model.publish(saved_model, version)
        with pytest.raises(Broken), model.in_service(version, "", new=new):
            wait()

    def test_a_first_version_that_fails_is_removed(self, taxi: ServedModel, saved_model: Path) -> None:
        self.fail(taxi, saved_model, 1)

        assert left(taxi) == []
        one = taxi.make_config(1).decode()
        assert changes(taxi) == [(None, one), (one, None)]
        assert taxi.history()[-1]["why"].endswith(": no answer")

    def test_the_previous_version_is_restored(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        before = left(taxi)
        self.fail(taxi, saved_model, 2)

        assert left(taxi) == before
        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)

    def test_files_published_before_are_kept(self, taxi: ServedModel, saved_model: Path) -> None:
        taxi.publish(saved_model, 1)
        self.fail(taxi, saved_model, 1)

        assert left(taxi) == ["versions/1/saved_model.pb", "versions/1/variables/variables.index"]

    def test_a_retry_that_fails_restores_nothing(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        self.fail(taxi, saved_model, 1)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)
        assert len(taxi.history()) == 1

    @pytest.mark.parametrize("there", [True, False])
    def test_a_concurrent_change_is_kept(
        self, taxi: ServedModel, saved_model: Path, there: bool, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if there:
            put(taxi, saved_model, 1)

        def overtake(model: ServedModel) -> None:
            _, token = model.read(STABLE) or (b"", None)
            storage.compare_and_swap(model.locate(STABLE), model.make_config(7), token)

        self.fail(taxi, saved_model, 2, overtake)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(7)
        assert not storage.exists(taxi.locate("versions", "2"))
        assert capsys.readouterr().out == ""

    def test_two_concurrent_changes(self, taxi: ServedModel, saved_model: Path) -> None:
        new = taxi.publish(saved_model, 1)
        storage.write_new(taxi.locate(STABLE), taxi.make_config(8))
        with (
            pytest.raises(Conflict, match=rf"1 .*'taxi' .* 8 .*'{taxi.locate(STABLE)}'"),
            taxi.in_service(1, "", new=new),
        ):
            pytest.fail("The change was made")

        assert left(taxi) == [STABLE]
        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(8)
        assert taxi.history() == []


class TestConcurrentChanges:
    def overtake(
        self, monkeypatch: pytest.MonkeyPatch, taxi: ServedModel, *contents: bytes | None
    ) -> list[bytes | None]:
        """Let another process write each content just before this one changes the stable config."""
        swap, left_over = storage.compare_and_swap, list(contents)

        def swap_late(uri: str, content: bytes, expected: str | None) -> str:
            if uri == taxi.locate(STABLE) and left_over and (other := left_over.pop(0)) is not None:
                current = storage.read(uri)
                swap(uri, other, current and current[1])
            return swap(uri, content, expected)

        monkeypatch.setattr(storage, "compare_and_swap", swap_late)
        return left_over

    def test_a_newer_version_is_tried_again(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left_over = self.overtake(monkeypatch, taxi, taxi.make_config(1), taxi.make_config(2))
        put(taxi, saved_model, 3)

        assert left_over == []
        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(3)
        assert changes(taxi) == [(taxi.make_config(2).decode(), taxi.make_config(3).decode())]

    def test_an_older_version_is_not(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.overtake(monkeypatch, taxi, taxi.make_config(4))
        with pytest.raises(Conflict, match=rf" 3 .*'taxi' .* 4 .*'{taxi.locate(STABLE)}'"):
            put(taxi, saved_model, 3)

        assert left(taxi) == [STABLE]

    def test_replace_newer_replaces_only_what_was_there(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(taxi, saved_model, 8)
        new = taxi.publish(saved_model, 3)
        self.overtake(monkeypatch, taxi, taxi.make_config(9))
        with pytest.raises(Conflict, match=r" 3 .* 9 "), taxi.in_service(3, "", new=new, replace_newer=True):
            pytest.fail("The change was made")
        with taxi.in_service(3, "", new=taxi.publish(saved_model, 3), replace_newer=True):
            pass

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(3)

    def test_changes_without_end_end(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(root, "_ATTEMPTS", 3)
        left_over = self.overtake(monkeypatch, taxi, *(taxi.make_config(1 + number % 2) for number in range(9)))
        with pytest.raises(Conflict, match=f"'{taxi.locate(STABLE)}'.* 3 "):
            put(taxi, saved_model, 5)

        assert len(left_over) == 6

    def test_a_failure_goes_back_to_a_version_with_files(self, taxi: ServedModel, saved_model: Path) -> None:
        """Version 2 was replaced by version 3 and removed its files; then version 3 fails."""
        put(taxi, saved_model, 1)
        fail = TestInService().fail

        def overtake(model: ServedModel) -> None:
            storage.delete(model.locate("versions", "2"))

        put(taxi, saved_model, 2)
        fail(taxi, saved_model, 3, overtake)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)

    def test_a_removed_version_that_another_went_back_to(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Version 3 goes back to version 2 while version 2, which it replaced, removes its files."""
        put(taxi, saved_model, 1)
        delete = storage.delete

        gone_back: list[str] = []

        def go_back(uri: str) -> None:
            delete(uri)
            if uri == taxi.locate("versions", "2") and not gone_back:
                gone_back.append(uri)
                _, token = storage.read(taxi.locate(STABLE)) or (b"", None)
                storage.compare_and_swap(taxi.locate(STABLE), taxi.make_config(2), token)

        def overtake(model: ServedModel) -> None:
            _, token = model.read(STABLE) or (b"", None)
            storage.compare_and_swap(model.locate(STABLE), model.make_config(3), token)

        monkeypatch.setattr(storage, "delete", go_back)
        TestInService().fail(taxi, saved_model, 2, overtake)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)

    def test_a_version_that_is_removed_while_another_goes_back_to_it(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Version 2 removes its files between version 3's look at them and its change."""
        put(taxi, saved_model, 1)
        put(taxi, saved_model, 2)
        swap = storage.compare_and_swap

        def remove_first(uri: str, content: bytes, expected: str | None) -> str:
            if content == taxi.make_config(2):
                storage.delete(taxi.locate("versions", "2"))
            return swap(uri, content, expected)

        monkeypatch.setattr(storage, "compare_and_swap", remove_first)
        TestInService().fail(taxi, saved_model, 3)

        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)

    def test_another_goes_back_to_a_version_that_has_failed(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Version 3, which replaced version 2, goes back to it after version 2 saw that it was replaced."""
        put(taxi, saved_model, 1)
        read, states = ServedModel.read, []

        def go_back(model: ServedModel, file: str) -> object:
            state = read(model, file)
            if state and state[0] == taxi.make_config(3) and not states:
                states.append(storage.compare_and_swap(taxi.locate(STABLE), taxi.make_config(2), state[1]))
            return state

        def overtake(model: ServedModel) -> None:
            _, token = model.read(STABLE) or (b"", None)
            storage.compare_and_swap(model.locate(STABLE), model.make_config(3), token)
            monkeypatch.setattr(ServedModel, "read", go_back)

        TestInService().fail(taxi, saved_model, 2, overtake)

        assert len(states) == 1
        assert storage.read_text(taxi.locate(STABLE)).encode() == taxi.make_config(1)
        assert not storage.exists(taxi.locate("versions", "2"))

    def test_an_entry_with_another_base_path_is_restored(self, taxi: ServedModel, saved_model: Path) -> None:
        entry = model_config.make_model("taxi", "/elsewhere", [1])
        config = model_config.format_config(model_config.make_config([entry])).encode()
        storage.write_new(taxi.locate(STABLE), config)
        TestInService().fail(taxi, saved_model, 2)

        assert storage.read_text(taxi.locate(STABLE)).encode() == config

    def test_a_version_that_was_replaced_is_named_with_its_run(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        taxi.check_in_service(1)
        put(taxi, saved_model, 2)
        with pytest.raises(Conflict, match=rf"1 .*'taxi' .* 2 \(version 2, .*'{taxi.locate(STABLE)}'"):
            taxi.check_in_service(1)
        storage.delete(taxi.locate(STABLE))
        with pytest.raises(Conflict, match=r"1 .*'taxi' "):
            taxi.check_in_service(1)


class TestHistory:
    def test_a_record_has_the_user_the_time_and_the_reason(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TIFFIN_USER", "ada")
        put(taxi, saved_model, 1)
        [file] = storage.list_files(taxi.locate("history"))
        text = storage.read_text(file.uri)
        record = json.loads(text)

        assert (record["who"], record["why"]) == ("ada", "version 1")
        assert record["at"].endswith("+00:00")
        stamp = re.sub(r"[-:]", "", record["at"].removesuffix("+00:00"))
        assert file.uri.endswith(f"/history/{stamp}Z-1.json")
        assert text == json.dumps(record, indent=2, sort_keys=True) + "\n"

    def test_a_new_model_has_no_history(self, taxi: ServedModel) -> None:
        assert taxi.history() == []

    def test_nothing_changes_without_a_record(self, tmp_path: Path, saved_model: Path) -> None:
        """A file in place of the folder fails like a full disk."""
        model = ServedModel(str(tmp_path / "root"), "taxi")
        new = model.publish(saved_model, 1)
        Path(model.locate("history")).write_bytes(b"")
        with (
            pytest.raises(StorageError, match=re.escape(model.locate("history"))),
            model.in_service(1, "", new=new),
        ):
            pytest.fail("The change was made")

        assert left(model) == ["history"]
