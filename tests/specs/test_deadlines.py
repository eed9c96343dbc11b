from pathlib import Path

import pytest
import yaml
from kfp import dsl, kubernetes

from support import toy_pipelines as toys
from tiffin.authoring.compilation import compile_pipeline
from tiffin.errors import InputError
from tiffin.specs.adjustments import Adjustments, adjust


def limit(spec: bytes, settings: list[str]) -> bytes:
    return adjust(spec, Adjustments(deadlines=tuple(settings)))


def test_a_deadline_is_what_kfp_kubernetes_writes(tmp_path: Path) -> None:
    @dsl.pipeline(name="limited")
    def limited():
        kubernetes.set_timeout(toys.say_more(number=1), 5400)

    @dsl.pipeline(name="limited")
    def unlimited():
        toys.say_more(number=1)

    expected = toys.write_spec(limited, tmp_path).read_bytes()
    plain = toys.write_spec(unlimited, tmp_path).read_bytes()

    assert limit(plain, []) == plain
    assert limit(plain, ["say=1.5h"]) == limit(plain, ["say-more=90m"]) == limit(plain, ["say=5400s"]) == expected


def test_a_deadline_takes_the_place_of_that_in_the_source() -> None:
    before = compile_pipeline("training")
    after = limit(before, ["train_model=3d"])

    configs = [list(yaml.safe_load_all(spec))[1]["platforms"]["kubernetes"] for spec in (before, after)]
    executors = [config["deploymentSpec"]["executors"] for config in configs]
    assert executors[0]["exec-train-model"].pop("activeDeadlineSeconds") == str(48 * 3600)
    assert executors[1]["exec-train-model"].pop("activeDeadlineSeconds") == str(3 * 24 * 3600)
    assert executors[0] == executors[1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("train-model", "--deadline should be step=time .*such as train-model=12h. Received: 'train-model'"),
        ("train-model=12", "--deadline should be step=time in s, m, h or d"),
        ("train-model=0h", "at least a second"),
        ("train-model=-1h", "--deadline should be step=time"),
        ("trian=1h", "--deadline should name a step: deploy-model, .*Received: 'trian'"),
    ],
)
def test_a_wrong_deadline_says_what_is_one(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        limit(compile_pipeline("training"), [setting])
