import pytest
from kfp import dsl

import tiffin
from support import toy_pipelines as toys
from tiffin.authoring.settings import find_needs, set_size, set_up
from tiffin.errors import InputError
from tiffin.stages.traits import S3, SENTRY, SERVING


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def register_model():
    """Register elsewhere."""


def test_a_step_with_an_unknown_size_does_not_compile() -> None:
    with pytest.raises(InputError, match=r"'say-more'.*'larg'\. .*'large'\?"):

        @dsl.pipeline
        def greedy():
            set_size(toys.say_more(number=1), "larg")


def test_a_nested_pipeline_has_no_size() -> None:
    with pytest.raises(InputError, match=r"container.*'drawing'"):

        @dsl.pipeline
        def nested():
            set_size(toys.drawing(), "small")


def test_a_step_needs_the_services_of_its_component() -> None:
    found = {}

    @dsl.pipeline
    def needing():
        found["own"] = find_needs(tiffin.ingest_examples())
        found["other"] = find_needs(toys.say_more(number=1))
        # A component with the name of one of Tiffin's, but in another image.
        found["namesake"] = find_needs(register_model())

    assert found == {"own": (S3, SENTRY), "other": (), "namesake": ()}


def test_a_foreign_component_gets_the_services_of_the_pipeline() -> None:
    tasks = []

    @dsl.pipeline
    def asking():
        tasks.append(set_up(toys.say_more(number=1), "Say", needs=[SERVING]))
        tasks.append(set_up(toys.say_more(number=2), "Say"))

    asked, plain = (task.platform_config.get("kubernetes", {}) for task in tasks)
    assert [pair["envVar"] for pair in asked["configMapAsEnv"][0]["keyToEnv"]] == list(SERVING.settings)
    assert "configMapAsEnv" not in plain
