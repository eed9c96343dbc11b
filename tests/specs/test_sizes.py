from pathlib import Path

import pytest
import yaml
from kfp import dsl

from support import toy_pipelines as toys
from tiffin.errors import InputError
from tiffin.specs.adjustments import Adjustments, adjust
from tiffin.specs.sizes import SIZES, Size, read_size, set_size


def resize(spec: bytes, settings: list[str]) -> bytes:
    return adjust(spec, Adjustments(sizes=tuple(settings)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("small", SIZES["small"]),
        ("cpu=3", Size("3", "3", "2Gi", "4Gi")),
        ("cpu=500m:1.5,memory=512Mi:1Gi", Size("500m", "1.5", "512Mi", "1Gi")),
        ("large,memory=64Gi", Size("4", "8", "64Gi", "64Gi")),
        ("large,accelerator=nvidia.com/gpu:2", Size("4", "8", "8Gi", "16Gi", "nvidia.com/gpu", 2)),
        ("accelerator=nvidia.com/gpu", Size("1", "2", "2Gi", "4Gi", "nvidia.com/gpu", 1)),
    ],
)
def test_a_size_is_a_name_or_its_parts(text: str, expected: Size) -> None:
    assert read_size(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "A size should be small, medium, large, or explicit"),
        ("larg", r"Received: 'larg'\. Did you mean 'large'\?"),
        ("cpu=much", r"should be a quantity, or request:limit.*Received: 'cpu=much'"),
        ("cpu=0", "should be a quantity"),
        ("memory=2GB", "should be a quantity.*'memory=2GB'"),
        ("memory=1.5Gi", "should be a quantity"),
        ("cpu=2:1", r"A request should be at most its limit\. Received: 'cpu=2:1'"),
        ("memory=1Gi:1000Mi", "A request should be at most its limit"),
        ("large,memry=2Gi", r"Received: 'memry=2Gi' in 'large,memry=2Gi'\. Did you mean 'memory'\?"),
        ("accelerator=nvidia.com/gpu:0", "should be resource:count"),
    ],
)
def test_what_is_no_size_says_what_is_one(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_size(text)


def test_a_step_with_an_unknown_size_does_not_compile() -> None:
    with pytest.raises(InputError, match=r"The step 'say-more' has a wrong size\. .* Did you mean 'large'\?"):

        @dsl.pipeline
        def greedy():
            set_size(toys.say_more(number=1), "larg")


def test_resizing_writes_what_kfp_writes(tmp_path: Path) -> None:
    @dsl.pipeline(name="sized")
    def sized():
        set_size(toys.say_more(number=1), "large,accelerator=nvidia.com/gpu:1")

    @dsl.pipeline(name="sized")
    def unsized():
        toys.say_more(number=1)

    expected = toys.write_spec(sized, tmp_path).read_bytes()
    plain = toys.write_spec(unsized, tmp_path).read_bytes()

    assert resize(plain, []) == plain
    assert resize(plain, ["say-more=large,accelerator=nvidia.com/gpu:1"]) == expected
    assert resize(expected, ["say=small"]) == resize(plain, ["say_more=small"])


def test_resizing_keeps_the_platforms_part() -> None:
    from tiffin.authoring.compilation import compile_pipeline

    spec = compile_pipeline("training")
    resized = resize(spec, ["train=cpu=16,memory=64Gi"])

    before, after = (list(yaml.safe_load_all(content)) for content in (spec, resized))
    resources = after[0]["deploymentSpec"]["executors"]["exec-train-model"]["container"].pop("resources")
    before[0]["deploymentSpec"]["executors"]["exec-train-model"]["container"].pop("resources")
    assert after == before
    assert resources["resourceMemoryLimit"] == "64Gi"
    assert resize(spec, ["train=medium"]) == spec


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train", "--size should be step=size, such as train-model=large"),
        ("trian-model=large", r"--size should name a step: .*Received: 'trian-model'\. Did you mean 'train-model'\?"),
        ("stop=large", "--size should name a step"),
    ],
)
def test_a_setting_that_names_no_step_is_refused(setting: str, message: str) -> None:
    from tiffin.authoring.compilation import compile_pipeline

    with pytest.raises(InputError, match=message):
        resize(compile_pipeline("training"), [setting])
