"""Labels by key where the prediction log has hashes of keys, leaves keys out, or has both."""

import pytest

from support.labelled_log import answer, joined, minute, truths
from tiffin.serving.recording import hash_text

SECRET = b"secret"
LABELS = "key,label\na,1\nb,0\nx,1\n"


def hashed(key, secret=SECRET):
    return hash_text(key, secret)


def test_no_answers(tmp_path):
    with joined(tmp_path, [answer("r", version=2, key="a")], LABELS, secret=SECRET) as (_, _, _, found):
        assert (found.keys, found.labelled, found.unknown_example) == ("LEFT_OUT", 0, "")


@pytest.mark.parametrize("secret", [SECRET, "sécret".encode() * 20])
def test_labels_are_hashed_alike(tmp_path, secret):
    """Also with a secret that is longer than a block of the hash, and a key that is not ASCII."""
    rows = [answer("1", key=hashed("a", secret)), answer("2", 1, key=hashed("é", secret)), answer("3", 2)]

    with joined(tmp_path, rows, "key,label\na,1\né,0\nx,1\n", secret=secret) as (workspace, _, _, found):
        assert truths(workspace, found) == {"1": 1, "2": 0}

    assert (found.keys, found.unknown, found.unknown_example, found.left_out) == ("HASHED", 1, "", {"no_key": 1})


def test_by_time(tmp_path):
    rows = [answer("1", 0, key=hashed("a")), answer("2", 60, key=hashed("a"))]
    labels = f"key,time,label\na,{minute(30).isoformat()},1\na,{minute(90).isoformat()},0\n"

    with joined(tmp_path, rows, labels, secret=SECRET) as (workspace, _, _, found):
        assert truths(workspace, found) == {"1": 1, "2": 0}


def test_settings_that_changed(tmp_path):
    """The first answer is from before keys were hashed."""
    rows = [answer("1", key="a"), answer("2", 1, key=hashed("a")), answer("3", 2, key=hashed("b"))]

    with joined(tmp_path, rows, LABELS, secret=SECRET) as (workspace, _, _, found):
        assert truths(workspace, found) == {"1": 1, "2": 1, "3": 0}


@pytest.mark.parametrize("secret", [SECRET, b""])
def test_labels_that_have_the_hashes(tmp_path, secret):
    rows = [answer("1", key=hashed("a"))]

    with joined(tmp_path, rows, f"key,label\n{hashed('a')},1\n", secret=secret) as (workspace, _, _, found):
        assert (truths(workspace, found), found.keys) == ({"1": 1}, "HASHED")


def test_keys_of_clients_that_look_like_hashes(tmp_path):
    """The log has the hash of a key of 64 digits, and another one as it is."""
    first, second = "ab" * 32, "cd" * 32
    rows = [answer("1", key=hashed(first)), answer("2", 1, key=second)]

    with joined(tmp_path, rows, f"key,label\n{first},1\n{second},0\n", secret=SECRET) as (workspace, _, _, found):
        assert truths(workspace, found) == {"1": 1, "2": 0}


@pytest.mark.parametrize(
    ("key", "secret", "keys"),
    [(hashed("a"), b"", "NO_SECRET"), (hashed("a", b"other"), SECRET, "OTHER_SECRET"), (None, SECRET, "LEFT_OUT")],
)
def test_what_cannot_be_joined(tmp_path, key, secret, keys):
    with joined(tmp_path, [answer("1", key=key)], LABELS, secret=secret) as (_, _, _, found):
        assert (found.keys, found.labelled, found.unknown, found.unknown_example) == (keys, 0, 3, "")


def test_request_ids_are_never_hashed(tmp_path):
    rows = [answer("a", key=hashed("a"))]

    with joined(tmp_path, rows, "request_id,label\na,1\nx,1\n", secret=SECRET) as (workspace, _, _, found):
        assert (truths(workspace, found), found.keys, found.unknown_example) == ({"a": 1}, "PLAIN", "x")
