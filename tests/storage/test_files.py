"""Files on local disk: atomic writes."""

import errno
import functools
import json
import os
import resource
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin import errors
from tiffin.storage.files import write_bytes, write_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(value=JSON)
def test_written_json_is_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "a.json"
    write_json(path, value)

    assert json.loads(path.read_bytes()) == value


def test_the_same_content_has_the_same_bytes(tmp_path):
    write_json(tmp_path / "a", {"b": 1, "a": "ü"})
    write_json(tmp_path / "b", {"a": "ü", "b": 1})

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == '{\n  "a": "ü",\n  "b": 1\n}\n'.encode()


def test_folders_are_created_and_files_replaced(tmp_path):
    for content in (b"one", b"two"):
        write_bytes(tmp_path / "x" / "y" / "a", content)

    assert (tmp_path / "x" / "y" / "a").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["a"]
    assert oct((tmp_path / "x" / "y" / "a").stat().st_mode)[-3:] == "644"


def test_a_value_that_json_does_not_support_keeps_the_file(tmp_path):
    write_json(tmp_path / "a", 1)
    with pytest.raises(TypeError):
        write_json(tmp_path / "a", object())

    assert os.listdir(tmp_path) == ["a"]
    assert json.loads((tmp_path / "a").read_bytes()) == 1


def test_a_full_disk_keeps_the_file(tmp_path):
    write_json(tmp_path / "a", 1)
    script = (
        "import sys; from tiffin import errors; from tiffin.storage.files import write_bytes\n"
        "with errors.reported(): write_bytes(sys.argv[1], bytes(5000))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, 4096))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=limit)

    assert ended.returncode == errors.EXPLAINED
    assert os.strerror(errno.EFBIG) in ended.stderr
    assert f"'{tmp_path / 'a'}'" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert os.listdir(tmp_path) == ["a"]
    assert json.loads((tmp_path / "a").read_bytes()) == 1
