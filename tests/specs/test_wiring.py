"""A mix-up of artifacts that KFP compiles is refused."""

from typing import Any

import pytest
from kfp import dsl

from support import toy_pipelines as toys
from tiffin import (
    compare_examples,
    compute_statistics,
    evaluate_model,
    infer_schema,
    ingest_examples,
    register_model,
    train_model,
)
from tiffin.authoring.compilation import compile_pipeline, compile_spec
from tiffin.authoring.declaration import pipeline
from tiffin.errors import InputError
from tiffin.specs.spec import read_spec


def check(one: Any) -> None:
    read_spec("spec", compile_spec(one))


def data() -> tuple[Any, Any, Any]:
    examples = ingest_examples().outputs["examples"]
    statistics = compute_statistics(examples=examples).output
    return examples, statistics, infer_schema(statistics=statistics).output


def test_a_pipeline_without_artifacts_is_right() -> None:
    check(toys.toy)


def test_the_pipelines_are_right() -> None:
    read_spec("training", compile_pipeline("training"))


@dsl.component(base_image="registry.example/own:1")
def own(examples: dsl.Input[dsl.Artifact], found: dsl.Output[dsl.Artifact]):
    """Take and give artifacts of any name."""


@dsl.pipeline
def others():
    """Pass artifacts from and to a component that is not one of Tiffin's, and from an importer."""
    examples, statistics, _ = data()
    imported = dsl.importer(artifact_uri="gs://b/schema", artifact_class=dsl.Artifact)
    mine = own(examples=statistics).outputs["found"]
    train_model(examples=examples, statistics=mine, schema=imported.output, label="x")


def test_artifacts_of_others_are_not_judged() -> None:
    check(others)


@dsl.pipeline
def two_data_sets():
    """Pass outputs to inputs of another name, which the traits allow."""
    examples, statistics, _ = data()
    others, more, _ = data()
    compare_examples(examples=examples, baseline_examples=others)
    compare_examples(statistics=statistics, reference=more)


def test_two_artifacts_of_a_kind_are_right() -> None:
    check(two_data_sets)


@dsl.pipeline
def statistics_as_baseline_examples():
    """Swap the baselines."""
    examples, statistics, _ = data()
    compare_examples(examples=examples, baseline_examples=statistics)


@dsl.pipeline
def examples_as_schema():
    """Swap an artifact between steps of the pipeline itself."""
    examples, statistics, _ = data()
    train_model(examples=examples, statistics=statistics, schema=examples, label="x")


@dsl.pipeline
def schema_as_statistics():
    """Swap two artifacts of the same type."""
    examples, statistics, schema = data()
    train_model(examples=examples, statistics=schema, schema=statistics, label="x")


@dsl.pipeline
def in_a_branch(often: bool = True):
    """Swap artifacts in a nested branch, which gets them as inputs."""
    examples, statistics, schema = data()
    with dsl.If(often == True), dsl.ParallelFor([1, 2]):  # noqa: E712
        train_model(examples=examples, statistics=statistics, schema=statistics, label="x").after(own(examples=schema))


@dsl.pipeline
def prepared() -> dsl.Artifact:
    """Give the statistics under another name."""
    return data()[1]


@dsl.pipeline
def from_a_pipeline():
    """Take an artifact from a nested pipeline."""
    examples, statistics, _ = data()
    train_model(examples=examples, statistics=statistics, schema=prepared().output, label="x")


@dsl.pipeline
def statistics_as_evaluation():
    """Swap an artifact of another stage."""
    examples, statistics, schema = data()
    model = train_model(examples=examples, statistics=statistics, schema=schema, label="x").outputs["model"]
    evaluate_model(examples=examples, model=model)
    register_model(model=model, evaluation=statistics, model_name="m")


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (examples_as_schema, "'schema' of train_model.*'examples' of ingest_examples.*'train-model'"),
        (schema_as_statistics, "'(statistics|schema)' of train_model.*'(statistics|schema)' of"),
        (in_a_branch, "'schema' of train_model.*'statistics' of compute_statistics"),
        (from_a_pipeline, "'schema' of train_model.*'statistics' of compute_statistics"),
        (statistics_as_baseline_examples, "'baseline_examples' or 'examples'.*'statistics' of compute_statistics"),
        (statistics_as_evaluation, "'evaluation' of register_model.*'statistics' of compute_statistics"),
    ],
)
def test_another_artifact_is_refused(one: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(one)


def test_our_decorator_refuses_it_when_the_pipeline_is_defined() -> None:
    with pytest.raises(InputError, match=r"'schema' of train_model.*'examples' of ingest_examples"):

        @pipeline(name="mixed-up", display_name="Mixed up")
        def mixed_up() -> None:
            """Swap artifacts."""
            examples, statistics, _ = data()
            train_model(examples=examples, statistics=statistics, schema=examples, label="x")


def test_images_of_another_registry_are_ours() -> None:
    content = compile_spec(examples_as_schema).replace(b"tiffin/data:", b"registry.example/team/data:")
    with pytest.raises(InputError, match=r"'schema' of train_model"):
        read_spec("spec", content)
