from collections.abc import Callable, Iterable
from typing import Any

import click
import pytest
import yaml
from click.testing import CliRunner
from kfp import dsl, kubernetes

from support import toy_pipelines as toys
from tiffin.authoring.compilation import compile_spec, load_spec
from tiffin.authoring.settings import set_size
from tiffin.commands.options import adjustment_options, backend_adjustment_options
from tiffin.errors import InputError
from tiffin.specs.adjustments import NONE, Adjustments, adjust, find_skipped, find_steps
from tiffin.specs.spec import Spec, read_spec
from tiffin.specs.steps import Step

LARGE = "say-more=large,accelerator=nvidia.com/gpu:1"


@pytest.fixture(scope="module")
def training() -> Spec:
    return load_spec("training")


def changed(*, sizes: Iterable[str] = (), deadlines: Iterable[str] = (), mounts: Iterable[str] = ()) -> bytes:
    """Return the YAML of a pipeline of one step with adjustments."""

    @dsl.pipeline(name="single")
    def single():
        toys.say_more(number=1)

    spec = read_spec("single", compile_spec(single))
    return adjust(spec, Adjustments(tuple(sizes), tuple(deadlines), tuple(mounts))).content


def declared(change: Callable[[Any], Any]) -> bytes:
    """Return the YAML of the same pipeline with the change in its source."""

    @dsl.pipeline(name="single")
    def single():
        change(toys.say_more(number=1))

    return compile_spec(single)


def test_without_adjustments_the_spec_is_unchanged(training: Spec) -> None:
    assert not NONE
    assert adjust(training, NONE) is training


@pytest.mark.parametrize(
    ("change", "adjustments"),
    [
        (lambda task: set_size(task, "large,accelerator=nvidia.com/gpu:1"), [{"sizes": [LARGE]}]),
        (lambda task: set_size(task, "small"), [{"sizes": ["say=small"]}, {"sizes": [LARGE, "say_more=small"]}]),
        (
            lambda task: kubernetes.set_timeout(task, 5400),
            [{"deadlines": [f"say={time}"]} for time in ("1.5h", "90m", "5400s")],
        ),
        (
            lambda task: kubernetes.mount_pvc(task, pvc_name="serving", mount_path="/serving"),
            [{"mounts": ["say=serving:/serving"]}],
        ),
    ],
    ids=["size", "size again", "deadline", "mount"],
)
def test_adjustments_write_what_kfp_writes(change: Callable[[Any], Any], adjustments: list[dict[str, Any]]) -> None:
    expected = declared(change)

    assert [changed(**one) for one in adjustments] == [expected] * len(adjustments)


def test_all_adjustments_apply_and_nothing_else_changes(training: Spec) -> None:
    adjusted = adjust(training, Adjustments(("train=cpu=16,memory=64Gi",), ("train_model=3d",), ("train=data:/data",)))
    again = read_spec("training", adjusted.content)

    assert adjusted == again
    before, after = ([*yaml.safe_load_all(spec.content)] for spec in (training, adjusted))
    resources = [one[0]["deploymentSpec"]["executors"]["exec-train-model"]["container"] for one in (before, after)]
    assert [one.pop("resources")["resourceMemoryLimit"] for one in resources] == ["4Gi", "64Gi"]
    configs = [
        one[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-train-model"] for one in (before, after)
    ]
    assert [one.pop("activeDeadlineSeconds") for one in configs] == [str(48 * 3600), str(72 * 3600)]
    assert [one["constant"] for one in configs[1].pop("pvcMount")] == ["data"]
    assert before == after
    assert adjust(training, Adjustments(("train=medium",))) == training


@pytest.mark.parametrize(
    ("adjustments", "message"),
    [
        (Adjustments(sizes=("train",)), "--size .*STEP=SIZE.*'train'"),
        (Adjustments(sizes=("trian-model=large",)), r"--size .*'trian-model'\. .*'train-model'\?"),
        (Adjustments(deadlines=("train-model",)), "--deadline .*STEP=TIME.*'train-model'"),
        (Adjustments(deadlines=("train-model=12",)), "--deadline .*'train-model=12'"),
        (Adjustments(deadlines=("train-model=0h",)), "--deadline .*'train-model=0h'"),
        (Adjustments(deadlines=("train-model=-1h",)), "--deadline .*'train-model=-1h'"),
        (Adjustments(deadlines=("trian=1h",)), "--deadline .*deploy-model, .*'trian'"),
        (Adjustments(mounts=("deploy-model=serving",)), "--mount .*STEP=CLAIM:/PATH.*'deploy-model=serving'"),
        (Adjustments(mounts=("deploy-model=serving:relative",)), "--mount .*'deploy-model=serving:relative'"),
        (Adjustments(mounts=("depoly=serving:/serving",)), "--mount .*deploy-model, .*'depoly'"),
        (Adjustments(mounts=("deploy=a:/x", "deploy=b:/x")), "--mount .*'deploy=b:/x'"),
        (Adjustments(usual_mounts=("deploy=serving",)), "TIFFIN_MOUNT .*STEP=CLAIM:/PATH.*'deploy=serving'"),
        (Adjustments(usual_mounts=("nope",)), "TIFFIN_MOUNT .*STEP=CLAIM:/PATH.*'nope'"),
        (Adjustments(usual_mounts=("stop=a:/x",)), "TIFFIN_MOUNT .*stop-run, .*'stop'"),
        (Adjustments(usual_mounts=("deploy=a:/x", "deploy=b:/x")), "TIFFIN_MOUNT .*'deploy=b:/x'"),
    ],
)
def test_an_invalid_adjustment_is_refused(training: Spec, adjustments: Adjustments, message: str) -> None:
    with pytest.raises(InputError, match=message):
        adjust(training, adjustments)


@pytest.mark.parametrize(
    ("name", "is_near"), [("depoly-model", True), ("deploy_models", True), ("say", False), ("score-rows", False)]
)
def test_a_usual_mount_of_another_pipelines_step_is_skipped(training: Spec, name: str, is_near: bool) -> None:
    adjustments = Adjustments(usual_mounts=(f"{name}=serving:/serving",))

    assert adjust(training, adjustments) is training
    (line,) = find_skipped(training, adjustments)
    for part in ("training", f"'{name}'", f"'{name}=serving:/serving'", "TIFFIN_MOUNT"):
        assert part in line
    assert ("'deploy-model'?" in line) is is_near


def test_a_usual_mount_is_the_same_as_a_typed_one(training: Spec) -> None:
    mounts = ("deploy=serving:/serving", "train_model=data:/data")
    usual = Adjustments(usual_mounts=(*mounts, "score=serving:/serving"))

    assert adjust(training, usual) == adjust(training, Adjustments(mounts=mounts))
    assert len(find_skipped(training, usual)) == 1
    assert find_skipped(training, Adjustments(mounts=mounts)) == []
    assert not usual.is_for_one


def test_a_mount_that_the_spec_already_has_changes_nothing(training: Spec) -> None:
    mounted = adjust(training, Adjustments(mounts=("deploy=serving:/serving",)))

    assert adjust(mounted, Adjustments(usual_mounts=("deploy-model=serving:/serving",))) == mounted
    assert adjust(mounted, Adjustments(mounts=("deploy=serving:/serving",))) == mounted
    with pytest.raises(InputError, match="'deploy=other:/serving'"):
        adjust(mounted, Adjustments(usual_mounts=("deploy=other:/serving",)))


STEPS = [
    Step(name, name, f"exec-{name}", "", "", {})
    for name in ("train-model", "validate-examples", "stop-run", "stop-run-2", "say-more", "say-more")
]


def test_a_pipeline_without_steps_has_no_step_to_adjust() -> None:
    with pytest.raises(InputError, match=r"--size .*'train'"):
        find_steps("--size", "train", [])


@pytest.mark.parametrize(
    ("named", "step"),
    [
        ("train-model", "train-model"),
        ("train_model", "train-model"),
        ("train", "train-model"),
        ("stop-run", "stop-run"),
    ],
)
def test_a_step_is_found_by_its_name_or_first_word(named: str, step: str) -> None:
    assert [one.name for one in find_steps("--size", named, STEPS)] == [step]


def test_an_option_holds_for_the_steps_of_nested_pipelines_too() -> None:
    assert len(find_steps("--size", "say-more", STEPS)) == 2
    spec = adjust(load_spec("monitoring"), Adjustments(mounts=("find-reference=c:/c",), sizes=("summarize-run=large",)))
    executors = spec.documents[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    mounted = [name for name, one in executors.items() if "pvcMount" in one]
    assert mounted == ["exec-find-reference", "exec-find-reference-2"]
    sizes = {
        str(spec.documents[0]["deploymentSpec"]["executors"][step.executor]["container"]["resources"])
        for step in spec.steps
        if step.function == "summarize_run"
    }
    assert len(sizes) == 1


@pytest.mark.parametrize("named", ["stop", "tra", ""])
def test_an_unknown_or_ambiguous_step_is_refused(named: str) -> None:
    with pytest.raises(InputError, match=f"--size .*'{named}'"):
        find_steps("--size", named, STEPS)


@pytest.mark.parametrize(
    ("options", "words", "typed", "usual"),
    [
        (backend_adjustment_options, [], [], ["deploy-model=root:/serving", "train-model=data:/data"]),
        (backend_adjustment_options, ["--mount", "deploy=other:/serving"], ["deploy=other:/serving"], []),
        (adjustment_options, [], [], []),
        (adjustment_options, ["--mount", "deploy=other:/serving"], ["deploy=other:/serving"], []),
    ],
    ids=["backend", "command line", "compile", "compile with a mount"],
)
def test_backend_commands_read_mounts_from_the_environment(
    options: Callable[..., Any], words: list[str], typed: list[str], usual: list[str]
) -> None:
    found = []

    @click.command()
    @options
    def command(adjustments: Adjustments) -> None:
        found.append(adjustments)

    environment = {"TIFFIN_MOUNT": "deploy-model=root:/serving train-model=data:/data"}
    CliRunner(env=environment).invoke(command, words, catch_exceptions=False)

    assert found == [Adjustments(mounts=tuple(typed), usual_mounts=tuple(usual))]
