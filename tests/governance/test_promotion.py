"""Promotion and rollback in serving roots on disk and in a bucket."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import serving_roots
from support.serving_roots import ADA, BOB, actions, newest, put, wait
from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.governance import changes, promotion
from tiffin.governance.promotion import check_in_service, promoting, roll_back, unload
from tiffin.serving import model_config
from tiffin.serving.history import Standing, read_history
from tiffin.serving.root import STABLE, ServedModel


class Broken(Exception):
    """An error while a version is put into service."""


@pytest.fixture(params=["disk", "bucket"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    """A model on local disk, and one on Cloud Storage."""
    with serving_roots.model_on(request.param, tmp_path) as model:
        yield model


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


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


def served(model: ServedModel) -> list[int]:
    return model.versions_in(model.read(STABLE))


def standing(model: ServedModel) -> Standing:
    return read_history(model).standing


def config(model: ServedModel, *versions: int) -> str:
    content = model.make_config(versions[-1], versions[:-1])
    assert content is not None
    return content.decode()


def texts(model: ServedModel) -> list[tuple[str | None, str | None]]:
    """Return the changes of the stable config."""
    return [(record.config.before, record.config.after) for record in read_history(model).records if record.config]


def fail(
    model: ServedModel,
    saved_model: Path,
    version: int,
    meanwhile: Callable[[], object] = lambda: None,
    **options: bool,
) -> None:
    """Promote a version that does not answer."""
    new = model.publish(saved_model, version)
    with pytest.raises(Broken), promoting(model, version, ADA, new=new, **options):  # noqa: PT012
        meanwhile()
        raise Broken("no answer")


def write_by_hand(model: ServedModel, content: bytes) -> None:
    found = model.read(STABLE)
    storage.compare_and_swap(model.locate(STABLE), content, found and found[1])


class TestPromoting:
    def test_a_version_without_files_changes_nothing(self, anywhere: ServedModel) -> None:
        with pytest.raises(InputError, match=r"5 .*'taxi'"), promoting(anywhere, 5, ADA):
            pytest.fail("The change was made")

        assert left(anywhere) == []
        assert actions(anywhere) == []

    def test_the_version_is_served_and_then_the_champion(self, anywhere: ServedModel, saved_model: Path) -> None:
        new = anywhere.publish(saved_model, 1)
        with promoting(anywhere, 1, ADA, new=new) as check:
            check()
            assert served(anywhere) == [1]
            assert standing(anywhere) == Standing(None, (), 1, None, (), 1)

        assert standing(anywhere) == Standing(1, (), None, None, (), 1)
        assert actions(anywhere) == [("promote", 1), ("confirm", 1)]
        assert texts(anywhere) == [(None, config(anywhere, 1))]

    def test_the_version_before_stays_loaded(self, anywhere: ServedModel, saved_model: Path) -> None:
        put(anywhere, saved_model, 1, 2, 3)

        assert served(anywhere) == [2, 3]
        assert standing(anywhere) == Standing(3, (2, 1), None, None, (), 1)
        one, two, three = config(anywhere, 1), config(anywhere, 1, 2), config(anywhere, 2, 3)
        assert texts(anywhere) == [(None, one), (one, two), (two, three)]

    @pytest.mark.parametrize(("keep", "loaded"), [(0, [3]), (1, [2, 3]), (2, [1, 2, 3]), (9, [1, 2, 3])])
    def test_the_number_of_versions_that_stay_loaded(
        self, taxi: ServedModel, saved_model: Path, keep: int, loaded: list[int]
    ) -> None:
        put(taxi, saved_model, 1, 2)
        taxi.publish(saved_model, 3)
        with promoting(taxi, 3, ADA, keep_previous=keep):
            pass

        assert served(taxi) == loaded

    def test_a_failed_promotion_keeps_the_number_of_versions_that_stay_loaded(
        self, taxi: ServedModel, saved_model: Path
    ) -> None:
        put(taxi, saved_model, 1, 2, 3)
        taxi.publish(saved_model, 4)
        with pytest.raises(Broken), promoting(taxi, 4, ADA, keep_previous=2):
            raise Broken

        assert served(taxi) == [2, 3]
        assert standing(taxi).keep_previous == 1

    def test_a_version_whose_files_were_removed_is_not_kept(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        storage.delete(taxi.locate("versions", "1"))
        put(taxi, saved_model, 2)

        assert served(taxi) == [2]

    def test_the_champion_again_changes_nothing(self, anywhere: ServedModel, saved_model: Path) -> None:
        put(anywhere, saved_model, 1)
        before = anywhere.read(STABLE)
        put(anywhere, saved_model, 1)

        assert anywhere.read(STABLE) == before
        assert len(actions(anywhere)) == 2

    def test_an_older_version_is_refused_unless_it_may_replace_a_newer_one(
        self, taxi: ServedModel, saved_model: Path
    ) -> None:
        put(taxi, saved_model, 8)
        new = taxi.publish(saved_model, 3)
        with pytest.raises(Conflict, match=r" 3 .*'taxi'.* 8 \(a test, ada, "), promoting(taxi, 3, BOB, new=new):
            pytest.fail("The change was made")
        assert taxi.find_versions() == [8]

        put(taxi, saved_model, 3)
        # A server answers with the highest version that it has loaded.
        assert served(taxi) == [3]
        assert standing(taxi) == Standing(3, (8,), None, None, (), 1)

    def test_only_the_newer_version_that_was_seen_may_be_replaced(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(taxi, saved_model, 8)
        taxi.publish(saved_model, 3)
        overtake(monkeypatch, lambda: put(taxi, saved_model, 9))
        with pytest.raises(Conflict, match=r" 3 .* 9 "), promoting(taxi, 3, BOB, replace_newer=True):
            pytest.fail("The change was made")

        assert standing(taxi).champion == 9

    def test_a_config_that_cannot_be_read_is_named(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        write_by_hand(taxi, b"model_config_list {")
        taxi.publish(saved_model, 3)
        with pytest.raises(InputError, match=f"'{taxi.locate()}'"), promoting(taxi, 3, ADA):
            pytest.fail("The change was made")
        # A rollback needs nothing of it.
        roll_back(taxi, BOB)

        assert served(taxi) == [1]


class TestFailure:
    def test_a_first_version_is_removed(self, anywhere: ServedModel, saved_model: Path) -> None:
        fail(anywhere, saved_model, 1)

        assert left(anywhere) == []
        assert texts(anywhere) == [(None, config(anywhere, 1)), (config(anywhere, 1), None)]
        assert newest(anywhere).action == "restore"
        assert newest(anywhere).author.why.endswith(": no answer")

    def test_the_champion_is_served_again(self, anywhere: ServedModel, saved_model: Path) -> None:
        put(anywhere, saved_model, 1)
        before = left(anywhere)
        fail(anywhere, saved_model, 2)

        assert (left(anywhere), served(anywhere)) == (before, [1])
        assert standing(anywhere) == Standing(1, (), None, None, (), 1)

    def test_files_that_were_there_before_are_kept(self, taxi: ServedModel, saved_model: Path) -> None:
        taxi.publish(saved_model, 1)
        fail(taxi, saved_model, 1)

        assert taxi.find_versions() == [1]

    def test_a_champion_that_does_not_answer_stays(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        fail(taxi, saved_model, 1)

        assert served(taxi) == [1]
        assert len(actions(taxi)) == 2

    def test_a_retry_that_fails_goes_back(self, taxi: ServedModel, saved_model: Path) -> None:
        """The process of the first attempt was killed after its change."""
        put(taxi, saved_model, 1)
        begin(taxi, saved_model, 2)
        assert served(taxi) == [1, 2]
        fail(taxi, saved_model, 2)

        assert served(taxi) == [1]
        assert taxi.find_versions() == [1, 2]

    def test_a_promotion_of_another_person_that_was_killed_is_undone(
        self, taxi: ServedModel, saved_model: Path
    ) -> None:
        put(taxi, saved_model, 1)
        begin(taxi, saved_model, 2)
        with pytest.raises(Broken), promoting(taxi, 2, BOB):
            raise Broken("no answer")

        assert standing(taxi) == Standing(1, (), None, None, (), 1)
        assert served(taxi) == [1]

    def test_the_number_of_versions_that_stay_loaded_is_undone(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        taxi.publish(saved_model, 3)
        promotion._start(taxi, 3, ADA, replace_newer=False, keep_previous=0)
        assert served(taxi) == [3]
        roll_back(taxi, BOB)

        assert standing(taxi) == Standing(2, (1,), None, None, (3,), 1)

    def test_a_config_without_tiffin_is_restored(self, anywhere: ServedModel, saved_model: Path) -> None:
        entry = model_config.make_model("taxi", "/elsewhere", [1])
        content = model_config.format_config(model_config.make_config([entry])).encode()
        storage.write_new(anywhere.locate(STABLE), content)
        fail(anywhere, saved_model, 2)

        assert storage.read_text(anywhere.locate(STABLE)).encode() == content

    def test_nothing_changes_without_a_record(self, taxi: ServedModel, saved_model: Path) -> None:
        """A file in place of the folder fails like a full disk."""
        new = taxi.publish(saved_model, 1)
        Path(taxi.locate("history")).write_bytes(b"")
        with (
            pytest.raises(StorageError, match=re.escape(taxi.locate("history"))),
            promoting(taxi, 1, ADA, new=new),
        ):
            pytest.fail("The change was made")

        assert served(taxi) == []


def begin(model: ServedModel, saved_model: Path, version: int) -> None:
    """Promote a version, and leave as a process that is killed does."""
    model.publish(saved_model, version)
    promotion._start(model, version, ADA, replace_newer=False, keep_previous=None)


def overtake(monkeypatch: pytest.MonkeyPatch, *others: Callable[[], object]) -> None:
    """Let other processes make changes just before this one writes its record."""
    write, waiting = changes.append, list(others)

    def late(*arguments: object) -> None:
        if waiting:
            with monkeypatch.context() as patch:
                patch.setattr(changes, "append", write)
                waiting.pop(0)()
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(changes, "append", late)


class TestInterrupted:
    def test_the_next_version_replaces_one_that_was_not_confirmed(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        begin(taxi, saved_model, 2)
        put(taxi, saved_model, 3)

        assert standing(taxi) == Standing(3, (1,), None, None, (), 1)
        assert served(taxi) == [1, 3]

    def test_the_same_version_again_goes_on(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        begin(taxi, saved_model, 2)
        put(taxi, saved_model, 2)

        assert standing(taxi) == Standing(2, (1,), None, None, (), 1)
        assert actions(taxi)[2:] == [("promote", 2), ("confirm", 2)]

    def test_a_rollback_returns_to_the_champion(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        begin(taxi, saved_model, 2)
        roll_back(taxi, BOB)

        assert standing(taxi) == Standing(1, (), None, None, (2,), 1)

    @pytest.mark.parametrize("again", ["promote", "rollback", "write"])
    def test_a_config_that_was_not_written_is_written_by_the_next_change(
        self, taxi: ServedModel, saved_model: Path, again: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(taxi, saved_model, 1, 2)
        with monkeypatch.context() as patch:
            patch.setattr(changes, "write_config", lambda *_: False)
            roll_back(taxi, ADA)
        assert served(taxi) == [1, 2]
        if again == "write":
            assert changes.write_config(taxi)
            assert served(taxi) == [1]
        elif again == "promote":
            put(taxi, saved_model, 3)
            assert served(taxi) == [1, 3]
        else:
            put(taxi, saved_model, 3)
            roll_back(taxi, BOB)
            assert served(taxi) == [1]


class TestConcurrentChanges:
    def test_another_change_is_written_between_a_record_and_its_config(
        self, taxi: ServedModel, saved_model: Path
    ) -> None:
        """As with a bucket, where a request takes a while: the config of the newer change is none by hand."""
        put(taxi, saved_model, 1)
        own = read_history(taxi)
        put(taxi, saved_model, 2, 3, 4)

        assert not changes.write_config(taxi, own)
        assert served(taxi) == [3, 4]

    def test_a_newer_version_is_tried_again(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        overtake(monkeypatch, lambda: put(taxi, saved_model, 1), lambda: put(taxi, saved_model, 2))
        put(taxi, saved_model, 3)

        assert standing(taxi) == Standing(3, (2, 1), None, None, (), 1)
        assert served(taxi) == [2, 3]

    def test_an_older_version_is_not(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new = taxi.publish(saved_model, 3)
        overtake(monkeypatch, lambda: put(taxi, saved_model, 4))
        with pytest.raises(Conflict, match=r" 3 .*'taxi' .* 4 "), promoting(taxi, 3, BOB, new=new):
            pytest.fail("The change was made")

        assert taxi.find_versions() == [4]

    def test_changes_without_end_end(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(changes, "_ATTEMPTS", 3)
        put(taxi, saved_model, 1)
        taxi.publish(saved_model, 9)
        others = [lambda version=version: put(taxi, saved_model, version) for version in (2, 3, 4)]
        overtake(monkeypatch, *others)
        with pytest.raises(Conflict, match=r"'taxi'.* 3 "), promoting(taxi, 9, BOB):
            pytest.fail("The change was made")

        assert standing(taxi).champion == 4

    def test_a_version_that_is_replaced_meanwhile_is_told_by_whom(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        new = taxi.publish(saved_model, 2)
        message = r" 2 .*'taxi' .* 3 \(a test, bob, "
        with pytest.raises(Conflict, match=message), promoting(taxi, 2, ADA, new=new) as check:  # noqa: PT012
            put(taxi, saved_model, 3, author=BOB)
            with pytest.raises(Conflict, match=message):
                check()

        assert standing(taxi) == Standing(3, (1,), None, None, (), 1)
        assert taxi.find_versions() == [1, 3]

    def test_a_version_whose_entry_was_removed(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        check_in_service(taxi, 1)
        storage.delete(taxi.locate(STABLE))
        with pytest.raises(Conflict, match=r"1 .*'taxi' "):
            check_in_service(taxi, 1)

    def test_a_config_that_is_changed_by_hand_meanwhile_is_kept(
        self, taxi: ServedModel, saved_model: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put(taxi, saved_model, 1)
        fail(taxi, saved_model, 2, lambda: write_by_hand(taxi, taxi.make_config(7) or b""))

        assert served(taxi) == [7]
        assert standing(taxi).served == 1
        assert capsys.readouterr().out == ""


class TestRollBack:
    def test_a_model_without_versions(self, anywhere: ServedModel) -> None:
        with pytest.raises(InputError, match="'taxi'"):
            roll_back(anywhere, BOB)

        assert actions(anywhere) == []

    def test_a_first_version_has_none_before_it(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        with pytest.raises(InputError, match=r"'taxi'.* 1 "):
            roll_back(taxi, BOB)

        assert served(taxi) == [1]

    def test_the_previous_version_is_served_and_the_other_stays_loaded(
        self, anywhere: ServedModel, saved_model: Path
    ) -> None:
        put(anywhere, saved_model, 1, 2, 3)
        made = roll_back(anywhere, BOB)

        assert (made.action, made.version, made.author) == ("rollback", 2, BOB)
        assert standing(anywhere) == Standing(2, (1,), None, None, (3,), 1)
        assert storage.read_text(anywhere.locate(STABLE)).encode() == anywhere.make_config(2, [1], [3])

    def test_again_goes_back_one_more(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2, 3)
        roll_back(taxi, BOB)
        roll_back(taxi, BOB)

        assert standing(taxi) == Standing(1, (), None, None, (2,), 1)
        assert taxi.find_versions() == [1, 2, 3]

    def test_an_earlier_champion_by_number(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2, 3, 4)
        roll_back(taxi, BOB, to=2)

        assert standing(taxi) == Standing(2, (1,), None, None, (4,), 1)

    @pytest.mark.parametrize(
        ("options", "message"), [({"to": 4}, r"--to .* 2, 1\. .*: 4\."), ({"leaving": 2}, r"--from .* 3\. .*: 2\.")]
    )
    def test_a_version_that_does_not_fit(
        self, taxi: ServedModel, saved_model: Path, options: dict[str, int], message: str
    ) -> None:
        put(taxi, saved_model, 1, 2, 3)
        with pytest.raises(InputError, match=message):
            roll_back(taxi, BOB, **options)

        assert served(taxi) == [2, 3]

    def test_a_version_whose_files_are_gone(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2, 3)
        storage.delete(taxi.locate("versions", "2"))
        with pytest.raises(InputError, match=r"2 .*'taxi'.* 1, 3\."):
            roll_back(taxi, BOB)
        roll_back(taxi, BOB, to=1)

        assert served(taxi) == [1]

    def test_two_at_once_go_back_once(
        self, taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(taxi, saved_model, 1, 2, 3)
        overtake(monkeypatch, lambda: roll_back(taxi, BOB))
        with pytest.raises(Conflict, match=r"'taxi'.* 2 .*\(a test, bob, "):
            roll_back(taxi, ADA)

        assert standing(taxi).champion == 2

    def test_the_version_that_was_left_can_be_promoted_again(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        roll_back(taxi, BOB)
        put(taxi, saved_model, 2)

        assert standing(taxi) == Standing(2, (1,), None, None, (), 1)
        assert storage.read_text(taxi.locate(STABLE)) == config(taxi, 1, 2)

    def test_a_candidate_goes_on_waiting(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        wait(taxi, saved_model, 3, "required")
        roll_back(taxi, BOB)

        assert standing(taxi) == Standing(1, (), None, 3, (2,), 1)


class TestUnload:
    def test_nothing_to_unload(self, taxi: ServedModel) -> None:
        assert unload(taxi, BOB) is None
        assert actions(taxi) == []

    def test_the_version_that_was_left_is_unloaded(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        roll_back(taxi, BOB)
        unload(taxi, BOB)

        assert standing(taxi) == Standing(1, (), None, None, (), 1)
        assert storage.read_text(taxi.locate(STABLE)) == config(taxi, 1)
