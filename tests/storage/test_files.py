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


@pytest.mark.parametrize(
    ("umask", "file", "folder"),
    [(0o000, 0o644, 0o755), (0o022, 0o644, 0o755), (0o002, 0o664, 0o775), (0o027, 0o640, 0o750), (0o077, 0o600, 0o700)],
)
def test_permissions_follow_the_umask_unless_all_users_may_write(tmp_path, umask, file, folder):
    """In a process of its own, since the umask is the process's."""
    script = (
        "import os, sys; from pathlib import Path; from tiffin import errors, storage\n"
        "from tiffin.storage.files import write_bytes, write_json\n"
        "root = Path(sys.argv[1])\n"
        "with errors.reported():\n"
        "    write_bytes(root / 'w' / 'bytes', b'1'); write_json(root / 'w' / 'json', 1)\n"
        "    token = storage.compare_and_swap(str(root / 's' / 'config'), b'1', None)\n"
        "    storage.compare_and_swap(str(root / 's' / 'config'), b'2', token)\n"
        "    storage.write_new(str(root / 's' / 'history' / '1.json'), b'1')\n"
        "    storage.publish_folder(root / 'model', str(root / 's' / 'versions' / '1'))\n"
    )
    (tmp_path / "model" / "variables").mkdir(parents=True)
    for name in ("saved_model.pb", "variables/index"):
        (tmp_path / "model" / name).write_bytes(b"1")
        (tmp_path / "model" / name).chmod(0o666)
    subprocess.run(
        [sys.executable, "-c", script, tmp_path], check=True, timeout=60, preexec_fn=functools.partial(os.umask, umask)
    )
    made = [path for top in ("w", "s") for path in (tmp_path / top, *(tmp_path / top).rglob("*"))]

    assert len(made) == 15
    for path in made:
        assert oct(path.stat().st_mode & 0o777) == oct(folder if path.is_dir() else file), path


def test_an_error_says_once_that_a_file_could_not_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "big").write_bytes(bytes(5000))
    script = (
        "import sys; from tiffin import storage; from pathlib import Path\n"
        "for attempt in (lambda: storage.write_new(sys.argv[1] + '/a', bytes(5000)),\n"
        "                lambda: storage.publish_folder(Path(sys.argv[1], 'folder'), sys.argv[1] + '/b')):\n"
        "    try: attempt()\n"
        "    except storage.StorageError as error: print(error)\n"
    )
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, 4096))
    ended = subprocess.run(
        [sys.executable, "-c", script, tmp_path], capture_output=True, text=True, timeout=60, preexec_fn=limit
    )

    written, published = ended.stdout.splitlines()
    for line, path in ((written, tmp_path / "a"), (published, "big")):
        assert line.count("Could") == 1
        assert f"{path}'" in line
        assert line.count(str(path)) == 1
        assert os.strerror(errno.EFBIG) in line


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
