"""Names of a spec that a run uses as folders stay within their folder."""

import json

import pytest
import yaml

from support import toy_pipelines as toys
from tiffin.authoring.compilation import compile_spec
from tiffin.errors import InputError
from tiffin.specs.spec import read_spec

HOSTILE = [
    "../../../tmp/out",
    "..",
    ".",
    "",
    "a/b",
    "/etc/x",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    "x" * 300,
    "\u202eabc",
    " ",
]


@pytest.fixture(scope="module")
def document():
    return json.dumps(next(yaml.safe_load_all(compile_spec(toys.toy))))


def renamed(mapping, name):
    old = next(iter(mapping))
    return {name if key == old else key: value for key, value in mapping.items()}


def in_pipeline(spec, name):
    spec["pipelineInfo"]["name"] = name


def in_task(spec, name):
    spec["root"]["dag"]["tasks"] = renamed(spec["root"]["dag"]["tasks"], name)


def in_component(spec, name):
    spec["components"] = renamed(spec["components"], name)


def in_reference(spec, name):
    next(iter(spec["root"]["dag"]["tasks"].values()))["componentRef"]["name"] = name


def in_executor(spec, name):
    executors = spec["deploymentSpec"]["executors"]
    spec["deploymentSpec"]["executors"] = renamed(executors, name)


def in_artifact(spec, name):
    next(iter(spec["components"].values()))["outputDefinitions"] = {"artifacts": {name: {}}}


def in_parameter(spec, name):
    next(iter(spec["components"].values()))["outputDefinitions"] = {"parameters": {name: {"parameterType": "STRING"}}}


PLACES = {
    "pipelineInfo.name": in_pipeline, "root.dag.tasks": in_task, "components": in_component, "componentRef.name": in_reference,
    "executors": in_executor, "outputDefinitions.artifacts": in_artifact, "outputDefinitions.parameters": in_parameter,
}  # fmt: skip


class TestHostile:
    @pytest.mark.parametrize("name", HOSTILE)
    @pytest.mark.parametrize("place", PLACES)
    def test_are_refused_wherever_they_stand(self, document, place, name):
        spec = json.loads(document)
        PLACES[place](spec, name)

        with pytest.raises(InputError, match=place) as raised:
            read_spec("spec.yaml", yaml.dump(spec).encode())
        assert str(raised.value).isprintable()

    @pytest.mark.parametrize("name", [None, 1, ["a"], {"a": 1}, True])
    def test_other_types(self, document, name):
        spec = json.loads(document)
        in_pipeline(spec, name)

        with pytest.raises(InputError, match="pipelineInfo"):
            read_spec("spec.yaml", yaml.dump(spec).encode())


@pytest.mark.parametrize("name", ["a", "my pipeline", "Ünïcode", "a.b-c_d", "..a", "x" * 200])
def test_others_are_accepted(document, name):
    spec = json.loads(document)
    in_pipeline(spec, name)

    assert read_spec("spec.yaml", yaml.dump(spec).encode()).name == name
