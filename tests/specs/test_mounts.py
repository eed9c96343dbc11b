from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from kfp import dsl, kubernetes

from support import toy_pipelines as toys
from tiffin.authoring.compilation import compile_pipeline
from tiffin.commands.options import adjustment_options, backend_adjustment_options
from tiffin.errors import InputError
from tiffin.specs.adjustments import Adjustments, adjust


def mount(spec: bytes, settings: list[str]) -> bytes:
    return adjust(spec, Adjustments(mounts=tuple(settings)))


def test_a_mount_is_what_kfp_kubernetes_writes(tmp_path: Path) -> None:
    @dsl.pipeline(name="mounted")
    def mounted():
        kubernetes.mount_pvc(toys.say_more(number=1), pvc_name="serving", mount_path="/serving")

    @dsl.pipeline(name="mounted")
    def unmounted():
        toys.say_more(number=1)

    expected = toys.write_spec(mounted, tmp_path).read_bytes()
    plain = toys.write_spec(unmounted, tmp_path).read_bytes()

    assert mount(plain, []) == plain
    assert mount(plain, ["say=serving:/serving"]) == expected


def test_a_mount_stands_beside_what_the_step_asks_for_already() -> None:
    plain = compile_pipeline("training")
    spec = mount(plain, ["deploy-model=serving:/serving", "train=data:/data"])

    assert spec.count(b"pvcMount:") == 2
    assert spec.count(b"configMapName: tiffin") == plain.count(b"configMapName: tiffin") > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["deploy-model=serving"],
            "--mount should be step=claim:/path, such as deploy-model=tiffin-serving-root:/serving",
        ),
        (["deploy-model=serving:relative"], "--mount should be step=claim:/path"),
        (["depoly=serving:/serving"], "--mount should name a step: deploy-model, .*Received: 'depoly'"),
        (["deploy=a:/x", "deploy=b:/x"], "should name a path once for a step. Received: 'deploy=b:/x'"),
    ],
)
def test_a_wrong_mount_says_what_is_one(settings: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        mount(compile_pipeline("training"), settings)


@pytest.mark.parametrize(
    ("options", "words", "mounts"),
    [
        (backend_adjustment_options, [], ["deploy-model=root:/serving", "train-model=data:/data"]),
        (backend_adjustment_options, ["--mount", "deploy-model=other:/serving"], ["deploy-model=other:/serving"]),
        (adjustment_options, [], []),
    ],
    ids=["backend", "command line", "compile"],
)
def test_commands_to_a_backend_take_mounts_from_the_environment(
    options: Callable[..., Any], words: list[str], mounts: list[str]
) -> None:
    @click.command()
    @options
    def command(adjustments: Adjustments) -> None:
        click.echo("\n".join(adjustments.mounts))

    done = CliRunner(env={"TIFFIN_MOUNT": "deploy-model=root:/serving train-model=data:/data"}).invoke(command, words)

    assert done.output.split() == mounts
