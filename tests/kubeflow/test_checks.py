"""Paths and images that a cluster does not have, checked on compiled specs."""

from pathlib import Path
from typing import Any

import pytest
from kfp import compiler, dsl

import tiffin
from tiffin import images
from tiffin.authoring.compilation import load_spec
from tiffin.errors import InputError
from tiffin.kubeflow.checks import check_paths, image_warnings
from tiffin.specs.adjustments import Adjustments
from tiffin.specs.spec import Spec, read_spec
from tiffin.stages import find_components

HERE = str(Path(__file__).resolve())
MOUNT = Adjustments(mounts=("ingest=trips:/data/trips",))


@pytest.fixture(scope="module")
def training() -> Spec:
    return load_spec("training")


@pytest.fixture(scope="module")
def mounted() -> Spec:
    return load_spec("training", MOUNT)


def compiled(pipeline: Any, folder: Path) -> Spec:
    compiler.Compiler().compile(pipeline, str(folder / "spec.yaml"))
    return read_spec(folder / "spec.yaml")


LOCAL = [
    ("data", HERE, "ingest-examples", "s3://"),
    ("data", f"file://{HERE}", "ingest-examples", "s3://"),
    ("data", f"FILE://localhost{HERE}", "ingest-examples", "s3://"),
    ("data", "/nowhere/trips.csv", "ingest-examples", "--allow-paths"),
    ("data", "trips.csv", "ingest-examples", "s3://"),
    ("data", "./trips/*.parquet", "ingest-examples", "s3://"),
    ("data", "~/trips.csv", "ingest-examples", "s3://"),
    ("data", r"C:\Users\ann\trips.csv", "ingest-examples", "s3://"),
    ("data", "C:/Users/ann/trips.csv", "ingest-examples", "s3://"),
    ("data", r"\\server\share\trips.csv", "ingest-examples", "s3://"),
    ("data_root", "examples", "ingest-examples", "gs://"),
    ("expected_schema", "schema.pbtxt", "validate-examples", "gs://"),
    ("model_code", "model.py", "train-model", "s3://"),
    ("model_code", HERE, "train-model", "s3://"),
    ("model_code", f"file://{HERE}", "train-model", "s3://"),
    ("model_code", "/nowhere/model.py", "train-model", "--allow-paths"),
    ("serving_root", "serving", "validate-examples", "gs://"),
    ("tracking_uri", "sqlite:///mlflow.db", "register-model", "http://"),
    ("tracking_uri", "sqlite:////tmp/mlflow.db", "register-model", "http://"),
    ("tracking_uri", "mlruns", "register-model", "http://"),
]


@pytest.mark.parametrize(("name", "value", "step", "advice"), LOCAL)
def test_a_path_that_the_step_does_not_have_is_refused(
    training: Spec, name: str, value: str, step: str, advice: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_paths(training, {name: value})

    for part in (f"{name}='{value}'", step, f"--mount {step}=", "TIFFIN_MOUNT", advice):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", "sample:deliveries?rows=100"),
        ("data", "gs://trips/2026/*.parquet"),
        ("data", "s3://trips/a b.csv"),
        ("data", "minio://trips/a.csv"),
        ("data", ""),
        ("model_code", ""),
        ("model_code", "gs://code/model.py"),
        ("serving_root", "gs://models/serving"),
        ("tracking_uri", "http://mlflow.mlflow:5000"),
        ("tracking_uri", "postgresql://mlflow@db/mlflow"),
        ("tracking_uri", "databricks"),
        ("label", "a/b"),
        ("key", HERE),
    ],
)
def test_uris_and_other_parameters_are_accepted(training: Spec, name: str, value: str) -> None:
    check_paths(training, {name: value})


@pytest.mark.parametrize(
    "value",
    ["/data/trips", "/data/trips/*.csv", "/data/trips//2026/", "file:///data/trips/x.csv", "/data/trips/a/../b"],
)
def test_a_path_below_a_volume_of_the_step_is_accepted(mounted: Spec, value: str) -> None:
    check_paths(mounted, {"data": value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data", "/data/trips2/x.csv"),
        ("data", "/data"),
        ("data", "/data/trips/../../etc/passwd"),
        ("data", "data/trips/x.csv"),
        # The volume is mounted in another step.
        ("expected_schema", "/data/trips/schema.pbtxt"),
    ],
)
def test_a_path_beside_the_volume_is_refused(mounted: Spec, name: str, value: str) -> None:
    with pytest.raises(InputError) as caught:
        check_paths(mounted, {name: value})

    assert f"{name}='{value}'" in str(caught.value)
    assert ("/data/trips)" in str(caught.value)) == (name == "data")


def test_absolute_paths_only_can_be_allowed(training: Spec) -> None:
    check_paths(training, {"data": HERE, "tracking_uri": "sqlite:////state/m.db"}, allow_paths=True)

    with pytest.raises(InputError, match=r"data='trips\.csv'") as caught:
        check_paths(training, {"data": "trips.csv"}, allow_paths=True)
    assert "--allow-paths" not in str(caught.value)


def test_defaults_and_constants_of_a_pipeline_are_checked(tmp_path: Path) -> None:
    @dsl.pipeline(name="constant")
    def constant(folder: str = "gs://trips") -> None:
        tiffin.ingest_examples(data=HERE, data_root=f"{folder}/versions")

    @dsl.pipeline(name="default")
    def default(source: str = "trips.csv") -> None:
        tiffin.ingest_examples(data=source)

    with pytest.raises(InputError, match=f"data='{HERE}'"):
        check_paths(compiled(constant, tmp_path), {})
    with pytest.raises(InputError, match=r"source='trips\.csv'.*ingest-examples"):
        check_paths(compiled(default, tmp_path), {})
    check_paths(compiled(default, tmp_path), {"source": "gs://trips/x.csv"})


def test_components_of_others_are_not_checked(tmp_path: Path) -> None:
    @dsl.component(base_image="python:3.13", install_kfp_package=False)
    def read(data: str) -> None:
        pass

    @dsl.pipeline(name="other")
    def other(data: str) -> None:
        read(data=data)

    check_paths(compiled(other, tmp_path), {"data": HERE})


def test_every_input_that_documents_a_path_declares_it() -> None:
    """An input whose description speaks of a path or of gs:// has to be among the locations of its component."""
    for name, row in find_components().items():
        inputs = getattr(tiffin, name).component_spec.inputs or {}
        described = {
            key
            for key, about in inputs.items()
            if about.type == "String"
            and any(word in (about.description or "") for word in ("gs://", "Path ", "sqlite"))
        }
        assert described <= row.locations.keys(), name


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("tiffin/data:0.1.0", True),
        ("tiffin/model:0.1.0", True),
        ("docker.io/tiffin/data:0.1.0", True),
        ("tiffin/data@sha256:00", True),
        ("localhost/tiffin/data:0.1.0", True),
        ("localhost:5000/tiffin/data:0.1.0", False),
        ("registry.example/team/data:0.1.0", False),
        ("registry.example/tiffin/data:0.1.0", False),
        ("team/data:0.1.0", False),
        ("tiffin/other:1", False),
        ("python:3.13", False),
    ],
)
def test_images_of_the_default_prefix_are_local(image: str, expected: bool) -> None:
    assert images.is_local(image) == expected


def test_local_images_of_a_spec_are_named_in_one_warning(training: Spec) -> None:
    (warning,) = image_warnings(training)
    pushed = read_spec("x", training.content.replace(b"image: tiffin/", b"image: registry.example/team/"))

    assert all(
        name in warning for name in (images.DATA, images.MODEL, "TIFFIN_IMAGE_PREFIX", "make images images-push")
    )
    assert image_warnings(pushed) == []
