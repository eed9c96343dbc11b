from pathlib import Path

from kfp import dsl

import tiffin
from support import toy_pipelines as toys
from tiffin.authoring.compilation import load_spec
from tiffin.specs.services import find_rollouts, find_unaddressed, needs_of
from tiffin.specs.spec import read_spec
from tiffin.stages.traits import SERVING, TRACKING


def test_foreign_components_need_no_services(tmp_path: Path) -> None:
    spec = read_spec(toys.write_spec(toys.toy, tmp_path))

    assert find_unaddressed(spec, {}) == []
    assert needs_of("say_more") == ()


def test_an_address_in_a_parameter_is_sufficient() -> None:
    spec = load_spec("training")

    assert find_unaddressed(spec, {}) == [SERVING, TRACKING]
    assert find_unaddressed(spec, {"serving_address": "", "tracking_uri": "http://mlflow:5000"}) == [SERVING]
    assert find_unaddressed(spec, {"serving_address": "serving:8500", "tracking_uri": "http://mlflow:5000"}) == []


def test_every_step_needs_its_address(tmp_path: Path) -> None:
    @dsl.pipeline
    def two(here: str, there: str = ""):
        """Register in two places."""
        for address in (here, there):
            tiffin.register_model(
                model=dsl.importer("gs://b/m", dsl.Model).output,
                evaluation=dsl.importer("gs://b/e", dsl.Artifact).output,
                model_name="m",
                tracking_uri=address,
            )

    spec = read_spec(toys.write_spec(two, tmp_path))

    assert find_unaddressed(spec, {"here": "http://mlflow:5000"}) == [TRACKING]
    assert find_unaddressed(spec, {"here": "http://mlflow:5000", "there": "http://other:5000"}) == []


def test_a_rollout_is_found_by_its_strategy() -> None:
    spec = load_spec("training")

    assert find_rollouts(spec, {}) == []
    assert find_rollouts(spec, {"rollout": "direct"}) == []
    assert find_rollouts(spec, {"rollout": "canary"}) == ["roll-out-model"]


def test_a_rollout_that_no_policy_starts_needs_no_gateway() -> None:
    spec = load_spec("monitoring")

    assert find_rollouts(spec, {}) == []
    assert find_rollouts(spec, {"policy": "retrain"}) == ["roll-out-model"]
    assert find_rollouts(spec, {"policy": "retrain", "rollout": "direct"}) == []
    assert find_rollouts(load_spec("retraining"), {}) == ["roll-out-model"]


def test_a_rollout_with_a_strategy_of_the_component_is_found(tmp_path: Path) -> None:
    @dsl.pipeline
    def weekly(version: int):
        """Roll out a version with the component's own strategy."""
        tiffin.roll_out_model(model_name="m", version=version)

    assert find_rollouts(read_spec(toys.write_spec(weekly, tmp_path)), {"version": 3}) == ["roll-out-model"]
