"""A model file: read, run anew each time, and its errors shown with its own lines."""

import hashlib
import inspect
import sys

import pytest
import tensorflow as tf

from support import gcs_emulator, s3_server
from tiffin.errors import InputError, StorageError
from tiffin.stages.train.own_code import Code, load_function, read_code, shown


def load(text):
    return load_function(Code("model.py", text.encode()))


class TestReadCode:
    def test_an_empty_file(self, tmp_path):
        (tmp_path / "model.py").touch()
        code = read_code(str(tmp_path / "model.py"))

        assert (code.name, code.content) == ("model.py", b"")
        assert code.digest == hashlib.sha256(b"").hexdigest()

    def test_a_file_uri(self, tmp_path):
        (tmp_path / "a b.py").write_text("x = 1")

        assert read_code(f"file://{tmp_path}/a%20b.py").content == b"x = 1"

    @pytest.mark.parametrize(
        "location", ["http://x/model.py", "https://x/model.py", "ftp://x/model.py", "model", "model.ipynb", "models/"]
    )
    def test_a_location_that_is_no_python_file(self, location):
        with pytest.raises(InputError, match=f"model_code='{location}'"):
            read_code(location)

    def test_a_file_that_does_not_exist(self, tmp_path):
        with pytest.raises(InputError, match=f"model_code='{tmp_path}/model.py'"):
            read_code(f"{tmp_path}/model.py")

    def test_a_folder(self, tmp_path):
        (tmp_path / "model.py").mkdir()
        with pytest.raises(StorageError, match=f"'{tmp_path}/model.py'"):
            read_code(f"{tmp_path}/model.py")


class TestLoadFunction:
    @pytest.mark.parametrize(
        ("text", "name"),
        [
            ("def build_model(features, hyperparameters): return 7", "build_model"),
            ("def build_model(f, h, more=1): return 7", "build_model"),
            ("build_model = lambda *values: 7", "build_model"),
            ("def train(context): return 7", "train"),
            ("class Trainer:\n    def __call__(self, context): return 7\ntrain = Trainer()", "train"),
        ],
    )
    def test_returns_the_function(self, text, name):
        found, function = load(text)

        assert found == name
        assert function(*[None] * (2 if name == "build_model" else 1)) == 7

    def test_runs_the_file_anew(self):
        first, second = (load(f"VALUE = {value}\ndef train(context): return VALUE")[1] for value in (1, 2))

        assert (first(None), second(None)) == (1, 2)

    def test_the_source_can_be_inspected(self):
        _, function = load("# a comment\ndef train(context):\n    return 7\n")

        assert inspect.getsource(function) == "def train(context):\n    return 7\n"

    def test_modules_beside_the_run_are_not_found(self, tmp_path, monkeypatch):
        (tmp_path / "helper_of_mine.py").write_text("")
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(str(tmp_path))
        before = list(sys.path)
        with pytest.raises(InputError, match=r"'model\.py' line 2, `import helper_of_mine`.*'helper_of_mine'"):
            load("\nimport helper_of_mine")

        assert sys.path == before

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("", r"build_model.*train.*'model\.py'"),
            (
                "def build_model(features, hyperparameters): 1\ndef train(context): 1",
                r"build_model.*train.*'model\.py'",
            ),
            ("x = 1\ndef build_model(:", r"'model\.py' line 2, `def build_model\(:`"),
            ("def train(context):\nreturn 1", r"'model\.py' line 2, `return 1`"),
            ("x = 'a", r"'model\.py' line 1, `x = 'a`"),
            ("\0", r"'model\.py'"),
            ("build_model = 3", r"build_model.*int.*'model\.py'"),
            ("\ndef build_model(features): 1", r"build_model\(features\) in 'model\.py' line 2"),
            ("def train(): 1", r"train\(\) in 'model\.py' line 1"),
            ("def train(context, more): 1", r"train\(context, more\) in 'model\.py' line 1"),
            ("x = 1\n\ny = x / 0", r"'model\.py' line 3, `y = x / 0`: ZeroDivisionError"),
            ("import sys\nsys.exit(3)", r"'model\.py' line 2, `sys\.exit\(3\)`: SystemExit: 3"),
            ("open('/nowhere/x')", r"'model\.py' line 1, .*'/nowhere/x'"),
            ("def f():\n    raise ValueError('one\\ntwo')\nf()", r"line 2, .*ValueError: one.two\."),
            ("raise ValueError", r"line 1, `raise ValueError`: ValueError\.$"),
        ],
    )
    def test_a_file_that_cannot_be_used(self, text, named):
        with pytest.raises(InputError, match=named) as caught:
            load(text)

        assert "\n" not in str(caught.value)
        assert caught.value.__cause__ is None


class TestShown:
    CODE = Code("model.py", b"")

    @pytest.mark.parametrize("error", [KeyError("x"), StorageError("x"), MemoryError()])
    def test_errors_of_tiffin_are_left_as_they_are(self, error):
        with pytest.raises(type(error)) as caught, shown(self.CODE, "train"):
            raise error

        assert caught.value is error

    def test_an_error_of_tensorflow_has_a_line_or_none(self):
        with pytest.raises(InputError, match=r"^train .*'model\.py': InvalidArgumentError"), shown(self.CODE, "train"):
            tf.reshape(tf.zeros(3), [2])

    def test_long_messages_are_cut(self):
        _, function = load("def train(context):\n    raise ValueError('x' * 10_000)")
        with pytest.raises(InputError) as caught, shown(self.CODE, "train"):
            function(None)

        assert len(str(caught.value)) < 600

    def test_secrets_are_masked(self):
        _, function = load("def train(context):\n    raise ValueError('https://ann:secret@host/x')")
        with pytest.raises(InputError) as caught, shown(self.CODE, "train"):
            function(None)

        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(("emulator", "scheme"), [(gcs_emulator, "gs"), (s3_server, "s3")])
def test_a_file_in_a_store(emulator, scheme):
    content = b"def train(context): return 7"
    with emulator.serve() as store:
        store.put("code/model.py", content)
        location = f"{scheme}://{store.name}/code/model.py"

        assert read_code(location) == Code(location, content)
        with pytest.raises(InputError, match=f"'{scheme}://{store.name}/code/other.py'"):
            read_code(f"{scheme}://{store.name}/code/other.py")
