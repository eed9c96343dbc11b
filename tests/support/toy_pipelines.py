"""Small pipelines over Tiffin's images, for the tests of the local runner."""

# ruff: noqa: T201 - steps print to their log

from pathlib import Path
from typing import Any

from kfp import compiler, dsl

import tiffin
from tiffin import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def write_text(text: str, times: int, written: dsl.Output[dsl.Artifact]) -> bool:
    """Write a text."""
    import os
    import sys

    print("argv", sys.argv[1:2], "cwd", os.getcwd(), "pid", os.getpid())
    with open(written.path, "w") as file:
        file.write(text * times)
    return times > 1


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def read_text(written: dsl.Input[dsl.Artifact], fail: str):
    """Read a text, then fail in the given way."""
    import os
    import signal
    import sys

    from tiffin.errors import InputError, reported

    with open(written.path) as file:
        print("read", file.read())
    print("modules", [name for name in ("mailbox", "wsgiref") if name in sys.modules])
    print(
        "variables", {name: value for name, value in os.environ.items() if name.startswith(("TIFFIN", "MLFLOW", "TF"))}
    )
    with reported():
        if fail == "mistake":
            raise InputError("`fail` should be empty. Received: fail='mistake'. Leave it out.")
    if fail == "bug":
        raise ZeroDivisionError("a bug")
    if fail == "exit":
        sys.exit(7)
    if fail == "signal":
        os.kill(os.getpid(), signal.SIGTERM)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def say_more(number: int):
    """Print a number."""
    print("number", number)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def summarize_run(summary: dsl.Output[dsl.Artifact], gate: str, status: dsl.PipelineTaskFinalStatus):
    """Write a summary artifact, as the component of the same name does."""
    from tiffin.artifacts.summary import RegisteredModel, Summary, write_summary
    from tiffin.artifacts.verdict import Verdict

    write_summary(
        summary.path,
        Summary(
            pipeline="toy",
            state="FAILED" if gate else status.state,
            reason="the gate is shut" if gate else "",
            stopped_by=gate or None,
            data_version="d1",
            metrics={"auc": 0.5},
            verdict=Verdict(not gate, "reason", ()),
            model=None if gate else RegisteredModel("toy", 1),
            serving=None,
            steps={},
        ),
    )


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def stop_run(reason: str):
    """Fail with a reason."""
    import sys

    print(f"error: {reason}", file=sys.stderr)
    sys.exit(1)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def wait(seconds: float, note: str):
    """Write the process ID to a file, wait, then delete the file; it remains if the process was killed."""
    import os
    import time
    from pathlib import Path

    try:
        Path(note).write_text(str(os.getpid()))
        time.sleep(seconds)
    finally:
        Path(note).unlink()


@dsl.component(base_image="python:3.11", install_kfp_package=False)
def foreign():
    """Run in an image that is not Tiffin's."""


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def fit_model() -> float:
    """Build and fit a small Keras model, and print whether TensorFlow was already imported."""
    import sys

    warm = "tensorflow" in sys.modules
    import keras
    import numpy as np

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    loss = model.fit(np.ones((64, 2)), np.zeros(64), verbose=0).history["loss"][0]
    print("warm", warm, "loss", loss)
    return float(loss)


@dsl.pipeline
def toy(text: str = "ab", times: int = 2, fail: str = "", share: float = 0.5, names: list = [], about: dict = {}):  # noqa: B006
    """Write a text, then read it.

    Args:
        text: Text to write.
    """
    written = write_text(text=text, times=times)
    with dsl.If(written.outputs["Output"] == True):  # noqa: E712
        read_text(written=written.outputs["written"], fail=fail)


@dsl.pipeline
def gated(gate: str = ""):
    """Stop if a gate is given, and summarize."""
    end = summarize_run(gate=gate)
    with dsl.ExitHandler(end):
        with dsl.If(gate != ""):
            stop_run(reason="the gate is shut")
        with dsl.Else():
            say_more(number=1)


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def judge_model(passed: bool, evaluation: dsl.Output[dsl.Artifact]):
    """Write an evaluation artifact."""
    from tiffin.artifacts.verdict import Evaluation, write_evaluation

    auc = 0.9 if passed else 0.4
    reason = f"auc {auc} is {'better' if passed else 'no better'} than 0.5."
    write_evaluation(
        evaluation.path, Evaluation(passed, reason, (), {"auc": auc}, "binary", "eval", 9, "d1", tiffin_version="1")
    )


@dsl.pipeline
def two_models():
    """Evaluate a good model and a bad one."""
    with dsl.ExitHandler(tiffin.summarize_run(pipeline="two-models")):
        judge_model(passed=False)
        judge_model(passed=True)


@dsl.pipeline
def looping():
    """Run one component three times."""
    with dsl.ParallelFor([1, 2, 3]) as number:
        say_more(number=number)


@dsl.pipeline
def waiting(note: str, seconds: float = 60.0):
    """Wait, so a test can interrupt the run."""
    say_more(number=1).after(wait(seconds=seconds, note=note))


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def deploy_model(state: str, kills: int):
    """Kill the model server some times, each time after it answered, then wait until it answers again."""
    import json
    import os
    import signal
    import socket
    import time
    from pathlib import Path

    host, _, port = os.environ["TIFFIN_SERVING_ADDRESS"].rpartition(":")

    def answers():
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def wait_for_an_answer():
        while not answers():
            time.sleep(0.1)

    try:
        for number in range(kills):
            wait_for_an_answer()
            pid = json.loads(Path(state, "server", "server.json").read_text())["pid"]
            print("killed", number, pid, flush=True)
            os.kill(pid, signal.SIGKILL)
            while answers():
                time.sleep(0.01)
        wait_for_an_answer()
        print("answered")
    finally:
        print("undone")


@dsl.pipeline
def deploying(state: str, kills: int):
    """Deploy to a server that is killed."""
    deploy_model(state=state, kills=kills).set_retry(2)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def succeed_later(note: str):
    """Fail the first time."""
    import sys
    from pathlib import Path

    if not Path(note).exists():
        Path(note).touch()
        sys.exit("error: not yet")


@dsl.pipeline
def retrying(note: str):
    """Retry a step once, with a backoff of an hour on a cluster."""
    succeed_later(note=note).set_retry(1, backoff_duration="3600s")


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def explain():
    """Fail with an InputError, as Tiffin's components do."""
    from tiffin.errors import InputError, reported

    with reported():
        raise InputError("No such folder: 'data'.")


@dsl.pipeline
def explaining():
    """Retry a step that reports a user error."""
    explain().set_retry(2, backoff_duration="3600s")


@dsl.pipeline
def abroad():
    """Use an image that has no virtualenv."""
    foreign()


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def write_manifest(examples: dsl.Output[dsl.Artifact]):
    """Write an examples artifact with notes."""
    from pathlib import Path

    from tiffin.artifacts import documents
    from tiffin.artifacts.examples import MANIFEST, Manifest, SetAside
    from tiffin.artifacts.notes import Note
    from tiffin.artifacts.recipe import Recipe

    notes = (Note("TASK_CHOSEN", "Chose \x1b[1m[red]binary."), Note("ROWS_SET_ASIDE", "Skipped 40 rows."))
    manifest = Manifest("d1", 0, (), {}, (), {}, {}, (), "", SetAside(0, None), Recipe(()), notes=notes)
    documents.write(Path(examples.path) / MANIFEST, manifest)


@dsl.pipeline
def noting():
    """Run one step whose report has notes."""
    write_manifest()


@dsl.pipeline
def fitting():
    """Fit a model in two steps."""
    first = fit_model()
    fit_model().after(first)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def draw():
    """Print the matplotlib backend."""
    import os

    print("backend", os.environ["MPLBACKEND"])


@dsl.pipeline
def drawing():
    """Draw."""
    draw()


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def count_calls(note: str, counted: dsl.Output[dsl.Artifact]) -> int:
    """Add a line to a file, and write and return the number of its lines."""
    from pathlib import Path

    lines = [*(Path(note).read_text().splitlines() if Path(note).exists() else []), "called"]
    Path(note).write_text("\n".join(lines))
    Path(counted.path).write_text(f"artifact {len(lines)}")
    return len(lines)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def need_file(file: str, counted: dsl.Input[dsl.Artifact], number: int):
    """Fail unless a file exists; if its content is `hang`, write another file and wait."""
    import time
    from pathlib import Path

    from tiffin.errors import InputError, reported

    with reported():
        if not Path(file).exists():
            raise InputError(f"No such file: '{file}'.")
    if Path(file).read_text() == "hang":
        Path(f"{file}.hangs").touch()
        time.sleep(600)
    print("got", number, Path(counted.path).read_text())


@dsl.pipeline
def repairable(note: str, file: str, token: str = ""):
    """Fail until a file exists."""
    with dsl.ExitHandler(summarize_run(gate="")):
        counted = count_calls(note=note)
        need_file(file=file, counted=counted.outputs["counted"], number=counted.outputs["Output"])


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def need_number(number: int, folder: str):
    """Write a file for each call, and fail for the number 2 unless a file exists."""
    import os
    import sys
    from pathlib import Path

    Path(folder, f"{number}-{os.getpid()}").touch()
    print("number", number)
    if number == 2 and not Path(folder, "repaired").exists():
        sys.exit("error: not yet")


@dsl.pipeline
def repairable_loop(folder: str):
    """Run one component three times, of which one fails until a file exists."""
    with dsl.ParallelFor([1, 2, 3]) as number:
        need_number(number=number, folder=folder)


@dsl.component(base_image=images.MODEL, install_kfp_package=False)
def name_run(run: str, name: str, named: dsl.Output[dsl.Artifact]):
    """Print the ID and the name of the run, and where its artifacts are."""
    print("named", run, name, named.uri)


@dsl.pipeline
def naming():
    """Name the run."""
    name_run(run=dsl.PIPELINE_JOB_ID_PLACEHOLDER, name=f"run {dsl.PIPELINE_JOB_NAME_PLACEHOLDER}")


def write_spec(pipeline: Any, folder: Path) -> Path:
    """Compile a pipeline into `folder` and return the file."""
    path = folder / f"{pipeline.name}.yaml"
    compiler.Compiler().compile(pipeline, str(path))
    return path
