"""What each artifact holds: written whole or not at all, and read back."""

import functools
import json
import os
import resource
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin import artifacts, errors
from tiffin.errors import InputError

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


class TestWrite:
    @given(value=JSON)
    def test_json_comes_back(self, tmp_path_factory, value):
        path = tmp_path_factory.mktemp("json") / "a.json"
        artifacts.write_json(path, value)

        assert artifacts.read_json(path) == value

    def test_the_same_content_has_the_same_bytes(self, tmp_path):
        artifacts.write_json(tmp_path / "a", {"b": 1, "a": "ü"})
        artifacts.write_json(tmp_path / "b", {"a": "ü", "b": 1})

        assert (
            (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == '{\n  "a": "ü",\n  "b": 1\n}\n'.encode()
        )

    def test_folders_are_made_and_files_replaced(self, tmp_path):
        for content in (b"one", b"two"):
            artifacts.write_bytes(tmp_path / "x" / "y" / "a", content)

        assert (tmp_path / "x" / "y" / "a").read_bytes() == b"two"
        assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["a"]
        assert oct((tmp_path / "x" / "y" / "a").stat().st_mode)[-3:] == "644"

    def test_what_cannot_be_json_leaves_what_was_there(self, tmp_path):
        artifacts.write_json(tmp_path / "a", 1)
        with pytest.raises(TypeError):
            artifacts.write_json(tmp_path / "a", object())

        assert os.listdir(tmp_path) == ["a"]
        assert artifacts.read_json(tmp_path / "a") == 1

    def test_a_full_disk_leaves_what_was_there(self, tmp_path):
        artifacts.write_json(tmp_path / "a", 1)
        script = (
            "import sys; from tiffin import artifacts, errors\n"
            "with errors.reported(): artifacts.write_bytes(sys.argv[1], bytes(5000))\n"
        )
        command = [sys.executable, "-c", script, str(tmp_path / "a")]
        limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (4096, 4096))
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, preexec_fn=limit)

        assert ended.returncode == errors.EXPLAINED
        assert ended.stderr == (
            f"error: Could not write '{tmp_path / 'a'}': File too large. Free space there, or choose another folder.\n"
        )
        assert os.listdir(tmp_path) == ["a"]
        assert artifacts.read_json(tmp_path / "a") == 1


class TestReadJson:
    def test_what_is_not_there(self, tmp_path):
        with pytest.raises(
            InputError, match=r"An artifact should hold 'a\.json'\. Received: '.*' without it\. Pass the output"
        ):
            artifacts.read_json(tmp_path / "a.json")

    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a,b\n"])
    def test_what_is_no_json(self, tmp_path, content):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.json' should be JSON \(.*Run the step that writes it again"):
            artifacts.read_json(tmp_path / "a.json")


class TestShardUris:
    @pytest.fixture
    def examples(self, tmp_path):
        shards = ["data/train-00000.parquet", "/root/d1/data/x.parquet", "gs://bucket/d1/data/x.parquet"]
        (tmp_path / "manifest.json").write_text(
            json.dumps({"splits": {"train": {"shards": shards}, "eval": {"shards": []}}})
        )
        return tmp_path

    def test_those_inside_the_artifact_move_with_it(self, examples):
        assert artifacts.shard_uris(examples, "train") == [
            f"{examples}/data/train-00000.parquet", "/root/d1/data/x.parquet", "gs://bucket/d1/data/x.parquet",
        ]  # fmt: skip
        assert artifacts.shard_uris(examples, "eval") == []

    def test_of_a_split_that_is_not_there(self, examples):
        with pytest.raises(InputError, match=r"should be one of eval, train\. Received: split='test'"):
            artifacts.shard_uris(examples, "test")


@pytest.mark.parametrize(
    ("value", "name"), [(1, "1"), (1.0, "1"), (1.5, "1.5"), ("1.0", "1.0"), ("yes", "yes"), (-2.0, "-2")]
)
def test_the_name_of_a_class(value, name):
    assert artifacts.class_name(value) == name
