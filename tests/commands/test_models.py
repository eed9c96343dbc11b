"""`tiffin models` in a serving root whose versions have small files, without a server; docs/on-call.md plays it with all."""

import json
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import pytest

from support import serving_roots
from support.command_line import tiffin
from support.serving_roots import ADA, BOB, actions, newest, put, wait
from tiffin.artifacts import documents
from tiffin.governance import promotion
from tiffin.governance.aliases import Cursor
from tiffin.governance.approval import approve
from tiffin.rollout import course
from tiffin.rollout.plan import make_steps
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel

WHY = ("--why", "a reason")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder whose model has three champions, of which the last is served, and a candidate that waits."""
    served = of(tmp_path / "state")
    saved_model = serving_roots.make_saved_model(tmp_path)
    put(served, saved_model, 1, 2, 3)
    wait(served, saved_model, 4, "four_eyes")
    return tmp_path / "state"


def of(state: Path, name: str = "taxi") -> ServedModel:
    return ServedModel(str(state / "serving"), name)


def run(state: Path, *arguments: Any, **variables: str) -> tuple[int, str, str]:
    """Run a command, without MLflow and a server."""
    variables = {"TIFFIN_USER": "bob", "MLFLOW_TRACKING_URI": "", "TIFFIN_SERVING_ADDRESS": ""} | variables
    return tiffin("models", *arguments, "--state", state, **variables)


def read(state: Path, *arguments: Any, **variables: str) -> Any:
    status, output, errors = run(state, *arguments, "--json", **variables)
    assert status == 0, errors
    [line] = output.splitlines()
    return json.loads(line)


class TestEmpty:
    @pytest.mark.parametrize("command", [["list"], ["show"], ["history"], ["verify"], ["gc"], ["rollback", *WHY]])
    def test_a_state_folder_that_does_not_exist(self, tmp_path: Path, command: list[str]) -> None:
        status, output, errors = run(tmp_path / "none", *command)

        assert (status, output) == (2, "")
        assert f"'{tmp_path / 'none' / 'serving'}'" in errors
        assert not (tmp_path / "none").exists()

    @pytest.mark.parametrize("command", [["show"], ["history"], ["verify"], ["rollback", *WHY], ["show", "taxi"]])
    def test_a_serving_root_without_models(self, tmp_path: Path, command: list[str]) -> None:
        (tmp_path / "serving").mkdir()
        status, output, errors = run(tmp_path, *command)

        assert (status, output) == (2, "")
        assert str(tmp_path / "serving") in errors

    def test_the_list_of_a_serving_root_without_models(self, tmp_path: Path) -> None:
        (tmp_path / "serving").mkdir()

        assert run(tmp_path, "list")[0] == 0
        assert run(tmp_path, "list", "--json")[1] == ""


class TestShown:
    def test_the_list_has_one_object_for_each_model(self, state: Path, tmp_path: Path) -> None:
        put(of(state, "bus"), tmp_path / "saved_model", 1)
        status, output, _ = run(state, "list", "--json")
        bus, taxi = map(json.loads, output.splitlines())

        assert status == 0
        assert (bus["name"], bus["champion"]["version"], bus["previous"]) == ("bus", 1, None)
        assert (taxi["champion"]["version"], taxi["previous"]["version"], taxi["candidate"]["version"]) == (3, 2, 4)
        assert (taxi["candidate"]["missing"], taxi["candidate"]["rule"]) == (1, "four_eyes")
        assert taxi["champion"]["since"] == read_history(of(state)).records[5].at
        assert (taxi["traffic"], taxi["health"]["address"], taxi["findings"]) == ({"3": 100.0}, "", [])

    def test_the_table_fits_80_columns(self, state: Path) -> None:
        status, output, _ = run(state, "list")

        assert status == 0
        assert max(map(len, output.splitlines())) <= 80
        assert re.search(r"^taxi +3 +.* 4 ", output, re.MULTILINE)

    def test_a_rollout(self, state: Path) -> None:
        served = of(state)
        approve(served, 4, BOB)
        rollout = course.start(served, 4, ADA, strategy="canary", steps=make_steps("canary"))
        course.begin(served, rollout.id)
        one = read(state, "list")
        found = one["rollout"]

        assert one["traffic"] == {"3": 95.0, "4": 5.0}
        assert (found["version"], found["weight"], found["step"], found["steps"]) == (4, 5.0, 1, 3)
        assert (found["phase"], found["by"], found["why"]) == ("running", ADA.who, ADA.why)
        assert read(state, "show") == one
        for command in (["list"], ["show"]):
            output = run(state, *command)[1]
            assert re.search(rf"rollout .*version 4 .* 5 %.* 1 of 3, .* {ADA.who}: {ADA.why}", output)
        table, _, below = run(state, "list")[1].partition("taxi: data")
        assert max(map(len, table.splitlines())) <= 80
        assert re.search(r"^taxi +3 +.* 4: 5 % ", table, re.MULTILINE)
        assert "95 % version 3, 5 % version 4" in below

    def test_the_only_model_may_be_omitted(self, state: Path) -> None:
        assert read(state, "show") == read(state, "show", "taxi")

    def test_a_version_has_its_lineage(self, state: Path) -> None:
        found = read(state, "show", "taxi", 4)

        assert (found["role"], found["lineage"]["requested_by"], found["verdict"]) == ("candidate", "ada", "v1")
        assert (found["lineage"]["data_version"], found["lineage"]["schema_digest"]) == ("d1", "s1")
        for version, role in ((1, "earlier"), (2, "previous"), (3, "champion")):
            assert read(state, "show", "taxi", version)["role"] == role

    @pytest.mark.parametrize(
        ("arguments", "message"), [(["taix"], r"'taix'.*'taxi'\?"), (["taxi", 9], r"'taxi': 1, 2, 3, 4\..* 9\.")]
    )
    def test_what_is_not_there(self, state: Path, arguments: list[Any], message: str) -> None:
        status, _, errors = run(state, "show", *arguments)

        assert status == 2
        assert re.search(message, errors)

    def test_a_server_that_does_not_answer_is_told(self, state: Path) -> None:
        found = read(state, "show", "taxi", "--address", "127.0.0.1:1")

        assert found["health"]["serves"] is None
        assert "UNAVAILABLE" in found["health"]["problem"]

    def test_aliases_that_are_behind_are_told(self, state: Path) -> None:
        told = read_history(of(state)).entries[3]
        documents.write(of(state).locate("aliases.json"), Cursor(4, told.digest, {"champion": 2}))
        assert [finding["code"] for finding in read(state, "show", "taxi")["findings"]] == ["BEHIND"]
        documents.write(of(state).locate("aliases.json"), Cursor(4, "0" * 64, {"champion": 2}))

        assert [finding["code"] for finding in read(state, "show", "taxi")["findings"]] == ["REMOVED", "BEHIND"]

    def test_a_promotion_whose_record_cannot_be_read_is_told(self, state: Path, tmp_path: Path) -> None:
        of(state).publish(tmp_path / "saved_model", 5)
        promotion._start(of(state), 5, ADA, replace_newer=False, keep_previous=None)
        approve(of(state), 4, BOB)
        Path(of(state).locate("history", "00000008.json")).write_text("{")
        found = read(state, "show", "taxi")["findings"]

        assert [(finding["code"], finding["record"]) for finding in found] == [("CHANGED", 8), ("UNFINISHED", 0)]

    def test_two_versions_are_compared(self, state: Path) -> None:
        found = read(state, "compare", "taxi", 3, 4)

        assert found["role"] == {"3": "champion", "4": "candidate", "difference": None}
        assert run(state, "compare", "taxi", 3, 4)[0] == 0


class TestHistory:
    def test_it_is_exported_as_json_lines(self, state: Path) -> None:
        status, output, _ = run(state, "history", "--json")
        records = [json.loads(line) for line in output.splitlines()]

        assert status == 0
        assert [record["number"] for record in records] == list(range(1, 8))
        assert {record["author"]["who"] for record in records} == {"ada"}
        assert run(state, "history", "--limit", 2, "--json")[1] == "\n".join(output.splitlines()[-2:]) + "\n"

    def test_what_was_in_production_at_a_time(self, state: Path) -> None:
        second = read_history(of(state)).records[3]
        status, output, _ = run(state, "history", "taxi", "--at", second.at)

        assert status == 0
        assert re.search(r"taxi .*: version 2\n", output)
        assert re.search(rf"{re.escape(second.at)}, .* ada: ", output)

    @pytest.mark.parametrize("time", ["2020-01-01", "2020-01-01T00:00:00+02:00", "900000h"])
    def test_a_time_before_the_first_record(self, state: Path, time: str) -> None:
        status, _, errors = run(state, "history", "--at", time)

        assert status == 2
        assert f"{read_history(of(state)).records[0].at}." in errors

    @pytest.mark.parametrize("time", ["yesterday", "", "2020-13-01", "999999w"])
    def test_a_time_that_is_none(self, state: Path, time: str) -> None:
        status, _, errors = run(state, "history", "--at", time)

        assert status == 2
        assert f"'{time}'" in errors

    def test_a_record_that_cannot_be_read_is_told(self, state: Path) -> None:
        Path(of(state).locate("history", "00000002.json")).write_text("{")
        status, output, errors = run(state, "history")

        assert status == 0
        assert "#2 " not in output
        assert re.search(r"warning: .* 2 ", errors)


class TestChanges:
    def test_four_eyes(self, state: Path) -> None:
        status, _, errors = run(state, "approve", "taxi", 4, *WHY, TIFFIN_USER="ada")
        assert status == 2
        assert "four_eyes" in errors
        found = read(state, "approve", "taxi", 4, *WHY)

        assert (found["action"], found["by"], found["missing"], found["version"]) == ("approve", "bob", 0, 4)
        assert actions(of(state))[-3:] == [("approve", 4), ("promote", 4), ("confirm", 4)]
        assert run(state, "approve", "taxi", 4, *WHY)[0] == 2

    def test_an_approval_that_leaves_the_version_to_a_rollout(self, state: Path) -> None:
        found = read(state, "approve", "taxi", 4, *WHY, "--no-promote")

        assert (found["action"], found["missing"]) == ("approve", 0)
        assert actions(of(state))[-1] == ("approve", 4)
        assert read_history(of(state)).standing.champion != 4
        assert course.start(of(state), 4, BOB, strategy="canary", steps=make_steps("canary")).version == 4

    def test_a_rejection(self, state: Path) -> None:
        assert read(state, "reject", "taxi", 4, *WHY)["action"] == "reject"
        for command in ("approve", "promote", "reject"):
            assert run(state, command, "taxi", 4, *WHY)[0] == 2

        assert newest(of(state)).author.who == "bob"

    @pytest.mark.parametrize("command", ["approve", "reject", "promote", "rollback"])
    @pytest.mark.parametrize("why", [(), ("--why", " "), ("--why", "a\nb")])
    def test_a_reason_is_required(self, state: Path, command: str, why: tuple[str, ...]) -> None:
        version = [] if command == "rollback" else [4]
        status, _, errors = run(state, command, "taxi", *version, *why)

        assert status == 2
        assert "--why" in errors
        assert len(actions(of(state))) == 7

    def test_a_rollback_and_the_way_back(self, state: Path) -> None:
        found = read(state, "rollback", "taxi", *WHY, "--from", 3)
        assert (found["version"], found["left"], found["problem"], found["warning"]) == (2, [3], "", "")
        assert run(state, "rollback", "taxi", *WHY, "--from", 3)[0] == 2
        assert read(state, "unload", "taxi")["changed"]
        assert not read(state, "unload", "taxi")["changed"]
        assert run(state, "promote", "taxi", 3, *WHY)[0] == 0

        assert read_history(of(state)).standing.champion == 3

    def test_an_older_version_needs_the_option(self, state: Path) -> None:
        assert run(state, "promote", "taxi", 1, *WHY)[0] == 1
        assert read(state, "promote", "taxi", 1, *WHY, "--replace-newer")["version"] == 1

    def test_a_version_without_files(self, state: Path) -> None:
        status, _, errors = run(state, "promote", "taxi", 9, *WHY)

        assert status == 2
        assert re.search(r"9 .*'taxi'.* 1, 2, 3, 4\.", errors)

    def test_a_server_that_does_not_answer(self, state: Path) -> None:
        """A promotion is undone; a rollback is not."""
        served, late = of(state), ("--address", "127.0.0.1:1", "--deadline", 1)
        assert run(state, "promote", "taxi", 1, *WHY, "--replace-newer", *late)[0] == 1
        assert newest(served).action == "restore"
        assert read_history(served).standing.champion == 3
        status, output, errors = run(state, "rollback", "taxi", *WHY, *late)

        assert status == 1
        assert "DEADLINE_EXCEEDED" in errors + output or "127.0.0.1:1" in errors
        assert read_history(served).standing.champion == 2

    def test_mlflow_that_is_down_does_not_hold_up_a_rollback(self, state: Path) -> None:
        told = read_history(of(state)).entries[6]
        documents.write(of(state).locate("aliases.json"), Cursor(7, told.digest, {"champion": 3, "previous": 2}))
        down = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        found = read(state, "rollback", "taxi", *WHY, **down)

        assert (found["version"], found["aliases"]) == (2, [])
        assert "tiffin models verify taxi --repair" in found["warning"]
        assert read_history(of(state)).standing.champion == 2
        assert [finding["code"] for finding in read(state, "show", "taxi")["findings"]] == ["BEHIND"]

    def test_files_of_old_versions(self, state: Path, tmp_path: Path) -> None:
        found = read(state, "gc", "--keep", 1, "--dry-run")
        assert [one["version"] for one in found["versions"] if not one["kept"]] == [1]
        assert of(state).find_versions() == [1, 2, 3, 4]
        assert run(state, "gc", "--keep", 1)[0] == 0

        assert of(state).find_versions() == [2, 3, 4]


class TestRecord:
    DEFAULTS: ClassVar[dict[str, Any]] = {"model": "taxi", "share": 1.0, "omit": [], "hash": [], "keep_days": 30}

    def test_the_defaults(self, state: Path) -> None:
        assert read(state, "record") == self.DEFAULTS
        assert not Path(of(state).locate("recording.json")).exists()

    def test_changes_keep_the_rest(self, state: Path) -> None:
        read(state, "record", "taxi", "--omit", "input.name", "--omit", "output.y", "--keep-days", 0)
        found = read(state, "record", "taxi", "--share", 0.25, "--hash", "key")

        assert found == self.DEFAULTS | {
            "share": 0.25, "omit": ["input.name", "output.y"], "hash": ["key"], "keep_days": 0
        }  # fmt: skip
        assert read(state, "record", "--omit", "")["omit"] == []

    @pytest.mark.parametrize(
        ("options", "received"), [(("--share", 2), "2.0"), (("--keep-days", -1), "-1"), (("--omit", "name"), "'name'")]
    )
    def test_settings_that_are_not_valid(self, state: Path, options: tuple[Any, ...], received: str) -> None:
        status, output, errors = run(state, "record", "taxi", *options)

        assert (status, output) == (2, "")
        assert f"Received: {received}" in errors

    def test_what_is_shown_fits_80_columns(self, state: Path) -> None:
        status, output, _ = run(state, "record", "--keep-days", 7)

        assert status == 0
        assert "7" in output
        assert all(len(line) <= 80 for line in output.splitlines())


class TestVerify:
    def test_all_is_right(self, state: Path) -> None:
        assert read(state, "verify") == {"model": "taxi", "records": 7, "findings": []}

    def test_what_is_wrong_is_found_and_put_right(self, state: Path) -> None:
        os.unlink(of(state).locate("stable.config"))
        status, output, _ = run(state, "verify", "taxi", "--json")
        assert status == 1
        assert [finding["code"] for finding in json.loads(output)["findings"]] == ["CONFIG"]
        assert run(state, "verify", "--repair")[0] == 0
        assert run(state, "verify")[0] == 0

        assert (newest(of(state)).action, newest(of(state)).author.who) == ("repair", "bob")

    def test_a_rollout_whose_process_was_killed_is_put_right(self, state: Path) -> None:
        served = of(state)
        approve(served, 4, BOB)
        course.start(served, 4, ADA, strategy="canary", steps=make_steps("canary"))
        os.unlink(served.locate("candidate.config"))
        status, output, _ = run(state, "verify", "--json")
        assert status == 1
        assert {finding["code"] for finding in json.loads(output)["findings"]} == {"UNFINISHED"}
        assert run(state, "verify", "--repair")[0] == 0

        assert read(state, "verify")["findings"] == []

    def test_mlflow_that_is_down_is_a_finding(self, state: Path) -> None:
        uri = "http://127.0.0.1:1"
        status, output, _ = run(state, "verify", "--json", MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")

        assert status == 1
        assert [finding["code"] for finding in json.loads(output)["findings"]] == ["NO_ANSWER"]

    def test_a_password_is_refused_as_an_option(self, state: Path) -> None:
        status, _, errors = run(state, "verify", "--tracking-uri", "http://ada:hunter2@mlflow:5000")

        assert status == 2
        assert "hunter2" not in errors


def test_records_of_ada_are_not_of_bob(state: Path) -> None:
    assert {record.author for record in read_history(of(state)).records} == {ADA}
