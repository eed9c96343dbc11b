"""Approval of versions: none, by one person, and by a second person."""

from pathlib import Path

import pytest

from support import serving_roots
from support.serving_roots import ADA, BOB, EVE, actions, lineage, newest, put, wait
from tiffin.errors import InputError
from tiffin.governance.approval import approve, find_approval, nominate, reject
from tiffin.governance.promotion import promoting
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import STABLE, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return serving_roots.make_saved_model(tmp_path)


def missing(model: ServedModel, version: int) -> int:
    return find_approval(read_history(model), version).missing


def promote(model: ServedModel, version: int) -> None:
    with promoting(model, version, EVE):
        pass


class TestNominate:
    def test_a_version_without_files(self, taxi: ServedModel) -> None:
        with pytest.raises(InputError, match=r"1 .*'taxi'"):
            nominate(taxi, 1, ADA, "none", lineage(), "v1", 1)

        assert actions(taxi) == []

    def test_the_record_has_what_the_version_was_made_from(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "required")
        record = newest(taxi)

        assert (record.action, record.version, record.rule) == ("candidate", 1, "required")
        assert (record.lineage, record.verdict) == (lineage(), "v1")
        assert record.standing.candidate == 1
        assert record.config is None

    def test_later_records_have_the_digest_of_the_verdict(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "none")
        promote(taxi, 1)

        assert [record.verdict for record in read_history(taxi).records] == ["v1"] * 3

    def test_a_retry_changes_nothing(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "required")
        wait(taxi, saved_model, 1, "required")
        assert actions(taxi) == [("candidate", 1)]
        approve(taxi, 1, BOB)
        promote(taxi, 1)
        wait(taxi, saved_model, 1, "required")

        assert len(actions(taxi)) == 4

    def test_what_stays_loaded_changes_with_the_promotion(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1, 2)
        wait(taxi, saved_model, 3, "none", keep_previous=0)
        assert taxi.versions_in(taxi.read(STABLE)) == [1, 2]
        promote(taxi, 3)

        assert taxi.versions_in(taxi.read(STABLE)) == [3]

    def test_a_retry_does_not_undo_a_rejection(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "required")
        reject(taxi, 1, BOB)
        wait(taxi, saved_model, 1, "required")

        assert actions(taxi) == [("candidate", 1), ("reject", 1)]


class TestApprove:
    def test_a_model_without_a_history(self, taxi: ServedModel) -> None:
        with pytest.raises(InputError, match=r" 1 .*'taxi'"):
            approve(taxi, 1, BOB)

        assert actions(taxi) == []

    def test_without_a_rule_none_is_needed(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "none")
        assert missing(taxi, 1) == 0
        with pytest.raises(InputError, match=r" 1 .*'taxi'"):
            approve(taxi, 1, BOB)

        promote(taxi, 1)

    @pytest.mark.parametrize("person", [ADA, BOB])
    def test_required_needs_one_person(self, taxi: ServedModel, saved_model: Path, person: Author) -> None:
        wait(taxi, saved_model, 1, "required")
        assert missing(taxi, 1) == 1
        with pytest.raises(InputError, match=r"`?tiffin models approve.taxi 1"):
            promote(taxi, 1)
        assert approve(taxi, 1, person).is_given
        promote(taxi, 1)

        assert actions(taxi) == [("candidate", 1), ("approve", 1), ("promote", 1), ("confirm", 1)]

    def test_four_eyes_refuses_the_person_who_asked(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "four_eyes", "ada")
        with pytest.raises(InputError, match=r"four_eyes.* ada"):
            approve(taxi, 1, ADA)
        assert missing(taxi, 1) == 1
        assert approve(taxi, 1, BOB).is_given

    def test_four_eyes_needs_two_persons_if_nobody_is_named(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "four_eyes", "")
        assert missing(taxi, 1) == 2
        assert approve(taxi, 1, ADA).missing == 1
        with pytest.raises(InputError, match=r"ada"):
            approve(taxi, 1, ADA)
        assert approve(taxi, 1, BOB).is_given

    def test_twice_is_told(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "required")
        approve(taxi, 1, BOB)
        with pytest.raises(InputError, match=r"bob.*tiffin models promote.taxi 1"):
            approve(taxi, 1, BOB)

        assert len(actions(taxi)) == 2

    @pytest.mark.parametrize("why", ["", "  "])
    def test_a_reason_is_needed(self, taxi: ServedModel, saved_model: Path, why: str) -> None:
        wait(taxi, saved_model, 1, "required")
        with pytest.raises(InputError, match="--why"):
            approve(taxi, 1, Author("bob", why))

    def test_a_candidate_that_was_replaced(self, taxi: ServedModel, saved_model: Path) -> None:
        wait(taxi, saved_model, 1, "required")
        wait(taxi, saved_model, 2, "required")
        with pytest.raises(InputError, match=r" 1 .* 2\."):
            approve(taxi, 1, BOB)

        assert approve(taxi, 2, BOB).is_given

    def test_the_champion(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        with pytest.raises(InputError, match="champion"):
            approve(taxi, 1, BOB)


class TestReject:
    def test_a_version_that_does_not_wait(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        for version in (1, 2):
            with pytest.raises(InputError, match=rf" {version} .*'taxi'"):
                reject(taxi, version, BOB)

    def test_it_can_no_longer_be_approved_or_promoted(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        wait(taxi, saved_model, 2, "required")
        reject(taxi, 2, BOB)
        assert read_history(taxi).standing.candidate is None
        with pytest.raises(InputError, match=r"\(a test, bob, "):
            approve(taxi, 2, ADA)
        with pytest.raises(InputError, match=r"\(a test, bob, "):
            promote(taxi, 2)

        assert read_history(taxi).standing.champion == 1
