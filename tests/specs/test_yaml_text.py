"""YAML: what a text may expand to is bounded, and every failure is one kind of error."""

import pytest

from tiffin.errors import InputError
from tiffin.specs.parameters import gather_parameters
from tiffin.specs.spec import Parameter, Spec, read_spec
from tiffin.specs.yaml_text import InvalidYaml, load_documents, load_yaml

SPEC = Spec(
    "p", None, {"derive": Parameter("derive", "STRUCT", {}), "exclude": Parameter("exclude", "LIST", [])}, (), b"", ()
)
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + level)}: &{chr(98 + level)} [{', '.join(['*' + chr(97 + level)] * 9)}]\n" for level in range(15)
)
INVALID = {
    "aliases of aliases": (BOMB, "1,000,000"),
    "an alias in itself": ("a: &a [*a]", r"\*a"),
    "aliases of a long text": (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 2000)}]", "1,000,000"),
    "merged aliases": (
        "a: &a {k: 1}\n" + "".join(f"a{i + 1}: &a{i + 1} {{x: *a{i}, y: *a{i}}}\n" for i in range(30)).replace("*a0", "*a"),
        "1,000,000",
    ),
    "many lists": ("[" * 100_000, "depth|100"),
    "lists in lists": ("[" * 500 + "]" * 500, "100"),
    "mappings in mappings": ("{a: " * 500 + "1" + "}" * 500, "100"),
    "blocks in blocks": ("- " * 500 + "1", "100"),
    "many values": (f"[{'1,' * 1_000_001}]", "1,000,000"),
    "a long text": ("x" * 50_000_001, "50,000,000"),
    "no such day": ("2020-99-99", "month"),
    "a day out of range": ("[2020-02-30]", "day"),
    "an hour out of range": ("9949-12-31 29:00:00", "hour"),
    "an offset out of range": ("9949-12-31 23:00:00 -99:00", "timedelta|offset"),
    "a long integer": ("1" * 5000, "4300"),
    "not an integer": ("!!int x", "'x'"),
    "not a boolean": ("!!bool x", "'x'"),
    "not a time": ("!!timestamp x", "value"),
    "a list as key": ("? [a]\n: b", "column 1"),
    "a Python object": ("!!python/object/apply:os.system [echo]", "os.system"),
    "bytes that are not text": (b"\xff\xfe\x00", "#x"),
    "a control character": ("\x00", "#x0000"),
    "an unknown alias": ("*b", "column 1"),
    "two documents": ("a\n---\nb", "2"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named"), INVALID.values(), ids=INVALID)
class TestInvalid:
    def test_is_one_error_on_one_line(self, text, named):
        with pytest.raises(InvalidYaml, match=named) as raised:
            load_yaml(text)

        assert "\n" not in str(raised.value)

    def test_in_a_parameter_file(self, tmp_path, text, named):
        path = tmp_path / "params.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

        with pytest.raises(InputError, match=rf"--params.*params\.yaml.*({named})"):
            gather_parameters(SPEC, (), path)

    def test_in_a_setting(self, text, named):
        if isinstance(text, str):
            with pytest.raises(InputError, match=rf"(?s)'derive'.*({named})") as raised:
                gather_parameters(SPEC, [f"derive={text}"])
            assert len(str(raised.value)) < 2_000

    def test_in_a_spec(self, tmp_path, text, named):
        path = tmp_path / "spec.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

        with pytest.raises(InputError, match=r"spec\.yaml"):
            read_spec(path)


class TestValid:
    @pytest.mark.parametrize("text", ["", "# nothing", "---", b""])
    def test_nothing(self, text):
        assert load_yaml(text) is None

    def test_aliases(self):
        assert load_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}") == {
            "a": {"x": 1},
            "b": {"x": 1},
            "c": {"x": 1, "y": 2},
        }

    def test_documents(self):
        assert load_documents("a: 1\n---\nb: 2") == [{"a": 1}, {"b": 2}]

    def test_a_hundred_levels(self):
        assert load_yaml("[" * 100 + "]" * 100)


class TestKeys:
    @pytest.mark.parametrize(
        ("setting", "key"),
        [
            ("derive={1: a}", "1"), ("derive={2020-01-01: a}", "datetime.date"), ("derive={null: a}", "None"),
            ("derive={a: {true: b}}", "True"), ("exclude=[{1.5: b}]", "1.5"), ("derive={on: a}", "True"),
        ],
    )  # fmt: skip
    def test_that_are_not_texts(self, setting, key):
        with pytest.raises(InputError, match=rf"'{setting.partition('=')[0]}'.*Received: {key}.*--set"):
            gather_parameters(SPEC, [setting])
