from pathlib import Path

import pytest

from tiffin.errors import InputError
from tiffin.specs.parameters import gather_parameters
from tiffin.specs.spec import Parameter, Spec


def needing(*parameters: Parameter) -> Spec:
    """Return a spec without steps that has these parameters."""
    return Spec("any", None, {parameter.name: parameter for parameter in parameters}, (), b"", ())


DECLARED = (
    Parameter("data", "STRING", ""),
    Parameter("rows", "NUMBER_INTEGER", 5),
    Parameter("rate", "NUMBER_DOUBLE", 0.1),
    Parameter("quick", "BOOLEAN", False),
    Parameter("exclude", "LIST", []),
    Parameter("derive", "STRUCT", {}),
    Parameter("task", "STRING", "auto", literals=("auto", "binary")),
    Parameter("folds", "NUMBER_INTEGER", 2, literals=(2, 5)),
)
SPEC = needing(*DECLARED)


def test_nothing_given_leaves_the_defaults_to_the_spec() -> None:
    assert gather_parameters(needing()) == {}
    assert gather_parameters(SPEC) == {}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("data=007", "007"),
        ("data=", ""),
        ("data=a=b", "a=b"),
        ("data=null", "null"),
        ("rows=7", 7),
        ("rows=7.0", 7),
        ("rows=1_000", 1000),
        ("rate=2", 2),
        ("rate=1e-3", 0.001),
        ("quick=true", True),
        ('exclude=["tips", "fare"]', ["tips", "fare"]),
        ("exclude=[tips, fare]", ["tips", "fare"]),
        ('derive={"big": "tips > 0.2 * fare"}', {"big": "tips > 0.2 * fare"}),
        ("task=binary", "binary"),
        ("folds=5", 5),
    ],
)
def test_a_setting_is_read_by_the_parameters_type(setting: str, expected: object) -> None:
    name = setting.partition("=")[0]

    assert gather_parameters(SPEC, [setting]) == {name: expected}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rows=many", r"'rows' should be a whole number, such as 10\. Received: \"many\", a string, in --set\."),
        ("rows=1.5", r"'rows' should be a whole number.*Received: 1\.5, a number"),
        ("rows=true", r"'rows' should be a whole number.*Received: true, true or false"),
        ("rate=", r"'rate' should be a number.*Received: null, nothing"),
        ("rate=.nan", "'rate' should hold JSON values only"),
        ("quick=1", r"'quick' should be true or false, such as true\. Received: 1, a whole number"),
        ("exclude=tips", r"'exclude' should be a list, such as \[\"a\", \"b\"\]\. Received: \"tips\", a string"),
        ("derive=[1]", r"'derive' should be a mapping, such as \{\"a\": 1\}\. Received: \[1\], a list"),
        ("derive={a: [", r"'derive' should be a mapping.*Quote the whole setting for the shell"),
        ("derive={on: 2020-01-01}", "'derive' should hold JSON values only"),
        (
            "task=binry",
            r"'task' should be one of: auto, binary\. Received: \"binry\" in --set\. Did you mean 'binary'\?",
        ),
        ("folds=3", r"'folds' should be one of: 2, 5\. Received: 3 in --set"),
        ("rows", r"--set should be key=value\. Received: 'rows'\. Write --set 'rows=VALUE'\."),
        ("row=1", r"Received: 'row'\. Did you mean 'rows'\?"),
        ("zzz=1", r"should name a parameter of the pipeline: data, rows, .* Received: 'zzz'\.$"),
    ],
)
def test_a_wrong_setting_says_what_to_write(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gather_parameters(SPEC, [setting])


def test_settings_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("data: trips.csv\nrows: 1\nderive:\n  big: fare > 10\n")

    values = gather_parameters(SPEC, ["rows=2"], file)

    assert values == {"data": "trips.csv", "rows": 2, "derive": {"big": "fare > 10"}}


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text("# nothing yet\n")

    assert gather_parameters(SPEC, file=file) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1\n", "should be a YAML file of names and values, such as .* with a list"),
        ("a: [\n", r"should be a YAML file of names and values\. Received: .*params\.yaml"),
        ("row: 1\n", r"The file '.*params\.yaml' should name a parameter.*Did you mean 'rows'\?"),
        ("data: 5\n", r"'data' should be a string, such as text\. Received: 5, a whole number, in '.*params\.yaml'"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)

    with pytest.raises(InputError, match=message):
        gather_parameters(SPEC, file=file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        gather_parameters(SPEC, file=tmp_path / "none.yaml")


def test_all_missing_values_are_named_at_once() -> None:
    spec = needing(Parameter("a", "STRING"), Parameter("b", "LIST", is_optional=True), *DECLARED)

    with pytest.raises(InputError, match=r"needs a value for: a, b\. .* Add --set a=VALUE --set b=VALUE\."):
        gather_parameters(spec)
