"""The runs of a backend: listed, found, shown, canceled and retried."""

from pathlib import Path
from typing import Any

import pytest

from support import kfp_backend
from support import toy_pipelines as toys
from tiffin.authoring.compilation import load_spec
from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.connection import Backend
from tiffin.kubeflow.publication import publish_spec
from tiffin.kubeflow.runs import cancel_run, find_run, list_overviews, read_logs, retry_run
from tiffin.kubeflow.submission import find_experiment, run_settings, submit_run
from tiffin.specs.adjustments import Adjustments
from tiffin.specs.spec import Spec, read_spec

ERROR = "error: text should be short. Received: 'a b'.\n"
FAILED = {"state": "FAILED", "tasks": {"write-text": "FAILED"}}


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return read_spec(toys.write_spec(toys.toy, tmp_path))


def submit(backend: Backend, spec: Spec, name: str = "mine", **arguments: Any) -> str:
    published = publish_spec(backend, spec)
    settings = run_settings(published, find_experiment(backend, spec.name), arguments)
    return submit_run(backend, spec, published, spec.name, name, settings).run_id


def sent(server: kfp_backend.Server, verb: str) -> list[str]:
    return [line for line in server.state()["requests"] if line.endswith(f":{verb}")]


def test_a_backend_without_runs(backend: Backend) -> None:
    assert list(list_overviews(backend)) == []
    with pytest.raises(InputError, match=backend.host):
        find_run(backend, "")


def test_runs_are_listed_newest_first_over_several_pages(
    server: kfp_backend.Server, backend: Backend, spec: Spec, tmp_path: Path
) -> None:
    ids = []
    for day, (state, name) in enumerate([("FAILED", "a"), ("SUCCEEDED", "b"), ("RUNNING", "c")], start=1):
        server.set(run={"created_at": f"2026-03-0{day}T12:00:00Z", "state": state})
        ids.append(submit(backend, spec, name))
    server.set(run={"created_at": "2026-03-04T12:00:00Z", "finished_at": "2026-03-04T12:01:00Z", "state": "FAILED"})
    other = submit(backend, read_spec(toys.write_spec(toys.gated, tmp_path)), "d")
    found = list(list_overviews(backend))

    assert [run.run for run in found] == [other, *reversed(ids)]
    assert [(run.name, run.pipeline, run.state) for run in found] == [
        ("d", "gated", "FAILED"), ("c", "toy", "RUNNING"), ("b", "toy", "SUCCEEDED"), ("a", "toy", "FAILED"),
    ]  # fmt: skip
    assert found[0].seconds == 60
    assert [run.run for run in list_overviews(backend, "toy", ("FAILED",))] == ids[:1]


def test_a_run_is_found_by_id_start_of_it_and_name(server: kfp_backend.Server, backend: Backend, spec: Spec) -> None:
    server.set(run={"created_at": "2026-03-01T12:00:00Z"})
    first = submit(backend, spec, "one")
    server.set(run={"created_at": "2026-03-02T12:00:00Z"})
    second = submit(backend, spec, "two")
    same = next(length for length in range(1, 36) if first[:length] != second[:length])

    assert {find_run(backend, run).submission.run_id for run in (first, first[:same], "one")} == {first}
    assert find_run(backend, "").submission.run_id == second
    submit(backend, spec, "one")
    with pytest.raises(InputError, match=first):
        find_run(backend, "one")
    for unknown in ("none", "00000000-0000-0000-0000-000000000000"):
        with pytest.raises(InputError, match=f"'{unknown}'"):
            find_run(backend, unknown)


def test_a_failed_run_is_shown_with_its_parameters_steps_and_log(
    server: kfp_backend.Server, backend: Backend, spec: Spec
) -> None:
    server.set(pictures=[FAILED], logs={"write-text": [ERROR]})
    run = submit(backend, spec, text="a b", times=2)
    found = find_run(backend, run).overview

    assert (found.run, found.name, found.pipeline, found.version) == (run, "mine", "toy", "0.1.0")
    assert (found.state, found.failed, found.log) == ("FAILED", "write-text", (ERROR.strip(),))
    assert "'a b'" in found.reason
    assert (found.parameters, found.defaults["times"]) == ({"text": "a b"}, 2)
    assert [(step.name, step.state) for step in found.steps] == [("write-text", "failed"), ("read-text", "skipped")]
    assert found.facts["url"] == backend.run_url(run)


@pytest.mark.parametrize(("approval", "state"), [("none", "SUCCEEDED"), ("required", "WAITING")])
def test_a_run_whose_model_waits_for_approval_is_told(
    server: kfp_backend.Server, backend: Backend, approval: str, state: str
) -> None:
    training = load_spec("training", Adjustments())
    server.set(pictures=[{"state": "SUCCEEDED", "tasks": {"deploy-model": "SUCCEEDED"}}])
    run = submit(backend, training, approval=approval)

    assert find_run(backend, run).overview.state == state


def test_a_run_whose_version_was_deleted_is_shown_without_steps(
    server: kfp_backend.Server, backend: Backend, spec: Spec
) -> None:
    server.set(pictures=[FAILED])
    run = submit(backend, spec, times=3)
    server.fail("GET .*/versions/", 404)
    found = find_run(backend, run).overview

    assert (found.pipeline, found.state, found.steps, found.parameters) == ("toy", "FAILED", (), {"times": 3})


def test_logs_are_those_of_the_failed_step_or_of_a_named_one(
    server: kfp_backend.Server, backend: Backend, spec: Spec
) -> None:
    tasks = {"write-text": "SUCCEEDED", "read-text": "FAILED"}
    server.set(pictures=[{"state": "FAILED", "tasks": tasks}], logs={"write-text": ["wrote\n"], "read-text": [ERROR]})
    found = find_run(backend, submit(backend, spec))

    def logs(step: str) -> dict[str, list[str]]:
        return {one.name: lines for one, lines in read_logs(found, step)}

    assert logs("") == {"read-text": [ERROR.strip()]}
    assert logs("write-text") == {"write-text": ["wrote"]}
    with pytest.raises(InputError, match=r"'raed-text'.*'read-text'\?"):
        logs("raed-text")
    server.set(logs={})
    with pytest.raises(BackendError, match="kubectl"):
        logs("")


def test_logs_are_those_of_all_steps_if_none_failed(server: kfp_backend.Server, backend: Backend, spec: Spec) -> None:
    server.set(pictures=[{"state": "RUNNING", "tasks": {"write-text": "RUNNING"}}], logs={"write-text": ["wrote\n"]})
    found = find_run(backend, submit(backend, spec))

    assert [(one.name, lines) for one, lines in read_logs(found, "")] == [("write-text", ["wrote"])]
    with pytest.raises(InputError, match="waiting"):
        read_logs(found, "read-text")


@pytest.mark.parametrize(
    ("state", "can_cancel", "can_retry"),
    [
        ("PENDING", True, False),
        ("RUNNING", True, False),
        ("SUCCEEDED", False, False),
        ("FAILED", False, True),
        ("CANCELED", False, True),
    ],
)
def test_the_state_decides_what_can_be_done(
    server: kfp_backend.Server, backend: Backend, spec: Spec, state: str, can_cancel: bool, can_retry: bool
) -> None:
    server.set(pictures=[{"state": state, "tasks": {}}])
    run = submit(backend, spec)
    for change, can in ((cancel_run, can_cancel), (retry_run, can_retry)):
        if can:
            change(find_run(backend, run))
        else:
            with pytest.raises(InputError, match=f"'{run}'.*{state}"):
                change(find_run(backend, run))

    assert len(sent(server, "terminate")) == can_cancel
    assert len(sent(server, "retry")) == can_retry


def test_a_run_that_a_gate_stopped_is_not_retried(server: kfp_backend.Server, backend: Backend, tmp_path: Path) -> None:
    spec = read_spec(toys.write_spec(toys.gated, tmp_path))
    gate = next(step for step in spec.steps if step.gate)
    server.set(pictures=[{"state": "FAILED", "tasks": {gate.name: "FAILED"}}])
    found = find_run(backend, submit(backend, spec, gate="evaluation"))

    with pytest.raises(InputError, match="tiffin submit gated --set"):
        retry_run(found)
    assert sent(server, "retry") == []
