"""The person and the service account of a change."""

import base64
import json
import os
import pwd
from pathlib import Path

import pytest

from tiffin.errors import InputError
from tiffin.governance import identity
from tiffin.governance.identity import check_person, current_user, find_account, person_or_account

ACCOUNT = "system:serviceaccount:team-a:pipeline-runner"


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container whose user has no name."""
    for name in ("TIFFIN_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)

    def missing(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", missing)


@pytest.fixture
def token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of a pod's token."""
    monkeypatch.setattr(identity, "_TOKEN", tmp_path / "token")
    return tmp_path / "token"


def write(token: Path, claims: object) -> None:
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    token.write_text(f"e30.{part}.c2ln")


class TestCurrentUser:
    def test_a_user_without_a_name_is_a_number(self, nobody: None) -> None:
        assert current_user() == f"uid {os.getuid()}"

    def test_the_variable_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("USER", "login")
        monkeypatch.setenv("LOGNAME", "login")
        monkeypatch.setenv("TIFFIN_USER", " ada ")
        assert current_user() == "ada"
        monkeypatch.setenv("TIFFIN_USER", " ")
        assert current_user() == "login"

    @pytest.mark.parametrize("name", ["a\nb", "\x1b[1m", "x" * 201])
    def test_a_name_that_is_none(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TIFFIN_USER", name)
        with pytest.raises(InputError, match="TIFFIN_USER"):
            current_user()


@pytest.mark.parametrize("name", ["", "Ada Lovelace", "ada@example.com", "李"])
def test_a_person(name: str) -> None:
    check_person(name)


@pytest.mark.parametrize("name", [" ", "ada ", "a\tb", "x" * 201])
def test_no_person(name: str) -> None:
    with pytest.raises(InputError, match=r"^requested_by"):
        check_person(name)


class TestAccount:
    def test_outside_a_cluster_there_is_none(self, token: Path) -> None:
        assert find_account() == ""

    def test_the_subject_of_the_token(self, token: Path) -> None:
        write(token, {"sub": ACCOUNT, "aud": ["https://kubernetes.default.svc"]})

        assert find_account() == ACCOUNT

    @pytest.mark.parametrize("content", ["", "x", "a.b.c", "a.%%%.c", "e30.W10.x", "e30.bnVsbA.x"])
    def test_a_token_that_is_none(self, token: Path, content: str) -> None:
        token.write_text(content)

        assert find_account() == ""

    @pytest.mark.parametrize("claims", [{}, {"sub": 1}, {"sub": "a\nb"}, []])
    def test_a_token_without_a_subject(self, token: Path, claims: object) -> None:
        write(token, claims)

        assert find_account() == ""

    def test_a_person_comes_before_the_account(self, token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TIFFIN_USER", "login")
        assert person_or_account("") == "login"
        write(token, {"sub": ACCOUNT})
        assert person_or_account("") == ACCOUNT
        assert person_or_account("ada") == "ada"
