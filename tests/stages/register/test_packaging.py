"""The MLflow model of a registered version, loaded where Tiffin is not installed."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mlflow.models import Model

from support.registering import DERIVED, INPUTS, make_recipe, write_model
from tiffin.artifacts.columns import Column
from tiffin.artifacts.model import saved_model
from tiffin.errors import InputError
from tiffin.stages.register import packaging

CSV = """Kilometres (km);city;ordered at;rush?;late
"1.234,5";Köln;05.01.2024 10:00;yes;1
;-;;;0
7;Ulm;2024-01-05T10:00:00;no;0
-0,25;€ "x";;TRUE;1
"""
# The inputs of serving_default for the rows of CSV, by hand.
ROWS = {
    "kilometres_km": [1234.5, float("nan"), 7.0, -0.25],
    "city": ["Köln", "", "Ulm", '€ "x"'],
    "ordered_at": ["05.01.2024 10:00", "", "2024-01-05T10:00:00", ""],
    "rush": [1.0, float("nan"), 0.0, 1.0],
}
SAMPLE = [{"kilometres_km": 1.5, "city": "Ulm", "ordered_at": "2024-01-02T03:04:05", "rush": 1}, dict.fromkeys(ROWS)]
# Tiffin's modules cannot be imported, as in an environment with MLflow and TensorFlow only.
LOAD = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tiffin", "kfp"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import mlflow, pandas
frame = pandas.read_csv(sys.argv[2], sep=";", index_col=False)
frame.index = frame.index + 10
answers = [mlflow.pyfunc.load_model(folder).predict(frame) for folder in sys.argv[1].split(",")]
assert not [name for name in sys.modules if name.partition(".")[0] == "tiffin"]
print(pandas.concat(answers, axis=1).to_json(orient="split", double_precision=15))
"""


def package(folder: Path, artifact: Path, rows=SAMPLE) -> Path:
    """Write a whole MLflow model, as it is in MLflow."""
    packaging.write(folder, artifact, rows)
    (folder / "saved_model").symlink_to(saved_model(artifact))
    return folder


def expected(artifact: Path, **changed: list) -> dict[str, list]:
    """Return the answers of the SavedModel itself."""
    inputs = {name: tf.constant(values) for name, values in (ROWS | changed).items()}
    inputs = {n: tf.cast(v, tf.float64) if v.dtype != tf.string else v for n, v in inputs.items()}
    loaded = tf.saved_model.load(str(saved_model(artifact)))
    outputs = {name: value.numpy() for name, value in loaded.signatures["serving_default"](**inputs).items()}
    return {
        n: v.astype(str).tolist() if v.dtype != object else np.char.decode(v.astype(bytes)).tolist()
        for n, v in outputs.items()
    }


def answered(frame: pd.DataFrame) -> dict[str, list]:
    return {
        name: [[str(x) for x in v] if isinstance(v, list) else str(v) for v in frame[name].tolist()]
        for name in frame.columns
    }


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("model") / "model")


@pytest.fixture(scope="module")
def folder(artifact, tmp_path_factory):
    return package(tmp_path_factory.mktemp("mlflow") / "model", artifact)


@pytest.fixture(scope="module")
def model(folder):
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


@pytest.fixture
def frame():
    return pd.read_csv(io.StringIO(CSV), sep=";", index_col=False)


class TestLoaded:
    def test_without_rows(self, model, frame):
        found = model.predict(frame[:0])

        assert list(found.columns) == ["classes", "probability", "texts"]
        assert found.empty

    @pytest.mark.parametrize("options", [{}, {"dtype": str, "keep_default_na": False}, {"dtype_backend": "pyarrow"}])
    def test_answers_of_the_saved_model_for_rows_of_the_source(self, model, artifact, options):
        found = model.predict(pd.read_csv(io.StringIO(CSV), sep=";", index_col=False, **options))
        right = expected(artifact)

        assert np.allclose(found["probability"], np.array(right.pop("probability"), float), rtol=0, atol=1e-7)
        assert {name: values for name, values in answered(found).items() if name in right} == right

    def test_keeps_the_index(self, model, frame):
        frame.index = ["a", "b", "b", "d"]

        assert model.predict(frame).index.tolist() == ["a", "b", "b", "d"]

    def test_many_rows_are_answered_in_order(self, model, frame):
        many = pd.concat([frame] * 5000, ignore_index=True)
        found = model.predict(many)["texts"]

        assert len(found) == 20_000
        assert found.tolist() == model.predict(frame)["texts"].tolist() * 5000

    def test_the_input_example_is_answered(self, model):
        assert model.input_example["city"].tolist()[0] == "Ulm"
        assert model.predict(model.input_example)["texts"].tolist() == ["Ulm|2024-01-02T03:04:05", "|"]

    def test_typed_values_of_pandas(self, model):
        frame = pd.DataFrame(
            {
                "Kilometres (km)": [7, 8],
                "city": pd.Series(["Ulm", None], dtype="category"),
                "ordered at": pd.to_datetime(["2024-01-05 10:00", None]),
                "rush?": pd.array([False, None], "boolean"),
            }
        )

        assert model.predict(frame)["texts"].tolist() == ["Ulm|2024-01-05T10:00:00", "|"]

    def test_missing_columns(self, model, frame):
        with pytest.raises(Exception, match=r"city.*rush") as raised:
            model.predict(frame.drop(columns=["city", "rush?"]))

        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_a_value_that_does_not_fit(self, model, frame):
        frame["rush?"] = ["yes", "no", "perhaps", "no"]
        with pytest.raises(Exception, match=r"Row 2: 'rush\?'.*'perhaps'") as raised:
            model.predict(frame)

        assert raised.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_rows_that_cannot_be_read_are_missing_if_asked_for(self, model, frame, caplog):
        frame["rush?"] = ["yes", "perhaps", "no", "x"]
        found = model.predict(frame, params={"unreadable": "missing"})

        assert found["probability"].isna().tolist() == [False, True, False, True]
        assert found["texts"].tolist()[2] == model.predict(frame[2:3])["texts"].tolist()[0]
        assert "2 of 4" in caplog.text
        assert "'perhaps'" in caplog.text

    def test_no_row_can_be_read(self, model, frame):
        frame["rush?"] = "x"

        assert model.predict(frame, params={"unreadable": "missing"})["probability"].isna().tolist() == [True] * 4

    def test_another_value_of_the_parameter(self, model, frame):
        with pytest.raises(Exception, match="unreadable='zero'"):
            model.predict(frame, params={"unreadable": "zero"})

    @pytest.mark.parametrize("values", [[7, 8, 9, 10], [7.0, None, 8.0, 9.0], [True, False, True, False]])
    def test_numbers_in_a_text_column(self, model, frame, values):
        """pandas reads 007 as 7, and 7 beside a missing value as 7.0: neither is the text of the source."""
        frame["city"] = values
        with pytest.raises(Exception, match=r"'city': (int64|float64|bool)\..*dtype={'city': 'str'}"):
            model.predict(frame)

    def test_a_text_column_without_values(self, model, frame):
        frame["city"] = float("nan")

        assert model.predict(frame)["texts"].tolist()[0] == "|05.01.2024 10:00"


class TestFiles:
    def test_signature(self, folder):
        signature = Model.load(str(folder)).signature

        assert signature.inputs.input_names() == ["Kilometres (km)", "city", "ordered at", "rush?"]
        assert [(c.name, str(c.type)) for c in signature.outputs] == [
            ("classes", "Array(string)"), ("probability", "DataType.float"), ("texts", "DataType.string"),
        ]  # fmt: skip

    def test_flavors_load_the_same_saved_model(self, folder):
        import mlflow.tensorflow

        flavors = Model.load(str(folder)).flavors

        assert flavors["tensorflow"]["saved_model_dir"] == "saved_model"
        assert "serving_default" in mlflow.tensorflow.load_model(str(folder)).signatures

    def test_requirements_are_pinned(self, folder):
        lines = (folder / "requirements.txt").read_text().splitlines()

        assert {line.partition("==")[0] for line in lines} == {"mlflow", "tensorflow", "numpy", "pandas"}
        assert all("==" in line for line in lines)

    def test_nothing_is_pickled(self, folder):
        assert not [file for file in folder.rglob("*") if file.suffix in (".pkl", ".pickle", ".pyc")]

    def test_the_loader_has_the_same_name_for_the_same_content(self, artifact, folder, tmp_path):
        other = package(tmp_path / "model", artifact)

        assert [path.name for path in (other / "code").iterdir()] == [path.name for path in (folder / "code").iterdir()]

    def test_without_sample_rows_there_is_no_example(self, artifact, tmp_path):
        for number, rows in enumerate(([], [{"city": "Ulm"}])):
            packaging.write(tmp_path / str(number), artifact, rows)

            assert not (tmp_path / str(number) / "input_example.json").exists()
            assert Model.load(str(tmp_path / str(number))).saved_input_example_info is None

    def test_a_saved_model_without_a_recipe(self, tmp_path, artifact):
        with pytest.raises(InputError, match=r"tiffin_recipe\.json"):
            packaging.write(tmp_path / "out", tmp_path / "nothing", [])


class TestWithoutTiffin:
    def test_answers_equal_those_of_the_saved_models(self, artifact, folder, tmp_path):
        """Two models in one process, one of them with a derived column."""
        inputs = (*INPUTS, Column(DERIVED.name, "FLOAT"))
        derived = write_model(tmp_path / "derived", recipe=make_recipe((DERIVED,), inputs))
        second = package(tmp_path / "second", derived)
        (tmp_path / "rows.csv").write_text(CSV)
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", LOAD, f"{folder},{second}", str(tmp_path / "rows.csv")],
            capture_output=True, text=True, timeout=240, cwd=tmp_path,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout.splitlines()[-1])
        rights = [expected(artifact), expected(derived, double=[2469.0, float("nan"), 14.0, -0.5])]

        assert found["index"] == [10, 11, 12, 13]
        assert found["columns"] == ["classes", "probability", "texts"] * 2
        assert "duckdb" in (second / "requirements.txt").read_text()
        for row, values in enumerate(found["data"]):
            for number, right in enumerate(rights):
                classes, probability, texts = values[number * 3 : number * 3 + 3]
                assert (classes, texts) == (right["classes"][row], right["texts"][row])
                assert abs(probability - float(right["probability"][row])) < 1e-7
