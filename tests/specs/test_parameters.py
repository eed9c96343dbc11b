from pathlib import Path

import pytest

from tiffin.errors import InputError
from tiffin.specs.parameters import gather_parameters
from tiffin.specs.spec import Parameter, Spec


def needing(*parameters: Parameter) -> Spec:
    """Return a spec with these parameters and without steps."""
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


def test_without_values_the_spec_provides_the_defaults() -> None:
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
def test_a_setting_is_parsed_by_the_parameters_type(setting: str, expected: object) -> None:
    name = setting.partition("=")[0]

    assert gather_parameters(SPEC, [setting]) == {name: expected}


def test_no_reuse_is_named_where_the_pipeline_lacks_the_parameter() -> None:
    with pytest.raises(InputError, match=r"--no-reuse.*'reuse'"):
        gather_parameters(SPEC, ["reuse=false"])


def test_an_integer_for_a_float_parameter_becomes_a_float() -> None:
    """kfp.local refuses 0 for a float."""
    assert isinstance(gather_parameters(SPEC, ["rate=0"])["rate"], float)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("rows=many", "'rows' .*10.*\"many\", .*--set"),
        ("rows=1.5", r"'rows' .*Received: 1\.5"),
        ("rows=true", "'rows' .*Received: true"),
        ("rate=", "'rate' .*Received: null"),
        ("rate=.nan", "'rate' .*JSON.*nan"),
        ("quick=1", r"'quick' .*true.*Received: 1"),
        ("exclude=tips", r"'exclude' .*\[\"a\", \"b\"\].*Received: \"tips\""),
        ("derive=[1]", r"'derive' .*\{\"a\": 1\}.*Received: \[1\]"),
        ("derive={a: [", r"'derive' .*'\{a: \['.*--set"),
        ("derive={day: 2020-01-01}", r"'derive' .*JSON.*2020, 1, 1"),
        ("task=binry", r"'task' .*auto, binary\. Received: \"binry\" .*--set\. .*'binary'\?"),
        ("folds=3", "'folds' .*2, 5.*Received: 3 .*--set"),
        ("rows", "--set .*'rows'.*--set 'rows=VALUE'"),
        ("row=1", r"--set .*'row'\. .*'rows'\?"),
        ("zzz=1", r"--set .*data, rows, .*'zzz'\.$"),
    ],
)
def test_an_invalid_setting_is_refused(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        gather_parameters(SPEC, [setting])


def test_settings_override_the_file(tmp_path: Path) -> None:
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
        ("- 1\n", r"--params .*params\.yaml'.*\blist\b"),
        ("a: [\n", r"--params .*params\.yaml'"),
        ("row: 1\n", r"params\.yaml' .*'row'\. .*'rows'\?"),
        ("data: 5\n", r"'data' .*Received: 5, .*params\.yaml'"),
    ],
)
def test_an_invalid_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)

    with pytest.raises(InputError, match=message):
        gather_parameters(SPEC, file=file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--params .*none\.yaml' .*No such"):
        gather_parameters(SPEC, file=tmp_path / "none.yaml")


def test_all_missing_parameters_are_named() -> None:
    spec = needing(Parameter("a", "STRING"), Parameter("b", "LIST", is_optional=True), *DECLARED)

    with pytest.raises(InputError, match=r"\ba, b\. .*--set a=VALUE --set b=VALUE\."):
        gather_parameters(spec)
