"""The log of a failed step, fetched with the library from a backend in another process."""

import io
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kfp import dsl

from support import kfp_backend, kfp_backend_program
from support import toy_pipelines as toys
from tiffin.authoring.compilation import load_spec
from tiffin.kubeflow import logs
from tiffin.kubeflow.connection import connect
from tiffin.kubeflow.publication import publish_spec
from tiffin.kubeflow.submission import Submission, find_experiment, follow_run, run_settings, show_end, submit_run
from tiffin.specs.spec import Spec, read_spec

ERROR = "error: text should be short. Received: 'a b'.\n"


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    return load_spec(str(toys.write_spec(toys.toy, tmp_path)))


Follow = Callable[..., tuple[Submission, str]]


@pytest.fixture
def follow(server: kfp_backend.Server, spec: Spec) -> Follow:
    """Return a function that follows a run whose step `write-text` fails, and returns the run and the output."""

    def follow(
        texts: dict[str, list[str]], tasks: dict[str, str] | None = None, *, spec: Spec = spec, **settings: Any
    ) -> tuple[Submission, str]:
        tasks = tasks or {"write-text": "FAILED", "summarize": "SUCCEEDED"}
        server.set(logs=texts, pictures=[{"state": "FAILED", "tasks": tasks}], **settings)
        backend = connect(server.address, "mine" if settings.get("multi_user") else None)
        published = publish_spec(backend, spec)
        wanted = run_settings(published, find_experiment(backend, "toy"), {})
        submission = submit_run(backend, spec, published, "toy", "first", wanted)
        stream = io.StringIO()
        follow_run(backend, spec, submission, stream, poll_seconds=0.01)
        show_end(submission, stream)
        return submission, stream.getvalue()

    return follow


def test_the_hash_of_the_stand_in_is_fnv_1a() -> None:
    assert kfp_backend_program.node_id("foobar").endswith(f"-{0xBF9CF968}")


@pytest.mark.parametrize(
    "settings",
    [
        {"logs_from": "api"},
        {"logs_from": "next"},
        {"logs_from": "dashboard"},
        {"logs_from": "dashboard", "multi_user": True},
        {"logs_from": "archive"},
        {"logs_from": "api", "retried": True},
        {"logs_from": "archive", "retried": True},
        {"logs_from": "dashboard", "retried": True},
    ],
)
def test_the_last_lines_of_a_failed_step_are_shown(follow: Follow, settings: dict[str, Any]) -> None:
    text = "".join(f"row {row}\n" for row in range(40)) + ERROR

    submission, output = follow({"write-text": [text]}, **settings)

    assert submission.log == [f"row {row}" for row in range(29, 40)] + [ERROR.strip()]
    assert all(f"  {line}\n" in output for line in submission.log)
    assert "row 28" not in output
    assert submission.reason.endswith("text should be short. Received: 'a b'.")
    assert (submission.to_json()["failed_step"], submission.to_json()["log"]) == ("write-text", submission.log)
    assert "kubectl" not in output


@dsl.pipeline
def titled(text: str = "ab") -> None:
    """Write a text, in a step with a display name."""
    toys.write_text(text=text, times=2).set_display_name("Write: a text")


def test_a_failed_step_has_its_display_name(follow: Follow, tmp_path: Path) -> None:
    spec = load_spec(str(toys.write_spec(titled, tmp_path)))

    submission, output = follow({"write-text": [ERROR]}, {"write-text": "FAILED"}, spec=spec)

    assert submission.failed_step == "write-text"
    assert submission.failed_title == "Write: a text"
    assert f"{submission.failed_title}:" in output
    assert submission.failed_title in submission.reason


@pytest.mark.parametrize("source", ["api", "archive", "dashboard"])
@pytest.mark.parametrize("retried", [False, True])
def test_the_log_is_that_of_the_last_attempt(follow: Follow, source: str, retried: bool) -> None:
    submission, _ = follow({"write-text": ["first\n", "second\n", "third\n"]}, logs_from=source, retried=retried)

    assert submission.log == ["third"]


@pytest.mark.parametrize("source", ["api", "archive", "dashboard"])
@pytest.mark.parametrize("retried", [False, True])
def test_a_driver_that_failed_has_a_log(follow: Follow, source: str, retried: bool) -> None:
    texts = {"read-text-driver": ["F1127 11:30:03.000000 17 main.go:79] secret 'store' not found\n"]}

    submission, _ = follow(
        texts, {"write-text": "SUCCEEDED", "read-text-driver": "FAILED"}, logs_from=source, retried=retried
    )

    assert submission.failed_step == "read-text"
    assert "'store'" in submission.log[0]


def test_metadata_of_the_pod_is_part_of_its_name(follow: Follow, spec: Spec) -> None:
    (step,) = [step for step in spec.steps if step.name == "write-text"]
    config = {"podMetadata": {"labels": {"team": "a", "tier": "b"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {step.executor: config}}}}}
    labelled = read_spec("toy.yaml", spec.content + b"\n---\n" + json.dumps(platform).encode())

    submission, output = follow({"write-text": [ERROR]}, spec=labelled, template_prefix="metadata-0-2-")

    assert submission.log == [ERROR.strip()]
    assert "kubectl" not in output


@pytest.mark.parametrize("source", ["api", "next", "dashboard", "none"])
def test_without_a_log_one_line_says_where_it_is(server: kfp_backend.Server, follow: Follow, source: str) -> None:
    submission, output = follow({}, logs_from=source, multi_user=True)

    run = next(iter(server.state()["runs"]))
    (line,) = [line for line in output.splitlines() if "kubectl" in line]
    assert submission.log == []
    assert submission.reason
    for part in (
        "write-text",
        f"{server.address}/#/runs/details/{run}",
        f"kubectl logs -n mine -l pipeline/runid={run}",
    ):
        assert part in line


def test_a_log_that_takes_too_long_is_not_awaited(
    server: kfp_backend.Server, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SECONDS", 0.0)

    submission, output = follow({"write-text": [ERROR]})

    assert (submission.failed_step, submission.log) == ("write-text", [])
    assert "kubectl" in output
    assert not any("/nodes/" in line for line in server.state()["requests"])


def test_bytes_that_are_not_utf_8_are_replaced(follow: Follow) -> None:
    submission, output = follow({"write-text": ["caf\xe9 \x1b[31mred\x1b[0m\x07\nd\xe9j\xe0\n"]})

    assert submission.log == [
        "caf\N{REPLACEMENT CHARACTER} red",
        "d\N{REPLACEMENT CHARACTER}j\N{REPLACEMENT CHARACTER}",
    ]
    assert "\x1b" not in output


def test_only_the_tail_of_a_huge_log_is_kept(follow: Follow) -> None:
    follow({"write-text": [ERROR]})
    tracemalloc.start()
    submission, _ = follow({"write-text": [ERROR]}, padding=64)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert submission.log[-1] == ERROR.strip()
    assert len(submission.log) == 12
    assert peak < 16 << 20


@pytest.mark.parametrize("retried", [False, True])
def test_a_gate_has_its_reason(follow: Follow, retried: bool) -> None:
    texts = {"stop-run-3": ["error: The validation did not pass: 1 anomaly in 'fare'.\n"]}
    tasks = {"ingest-examples": "SUCCEEDED", "stop-run-3": "FAILED"}

    submission, output = follow(texts, tasks, spec=load_spec("training"), retried=retried)

    assert submission.stopped_by == "validation"
    assert (submission.failed_step, submission.log) == (None, [])
    assert "1 anomaly in 'fare'." in submission.reason
    assert submission.reason in output


def test_a_gate_without_a_log_is_named(follow: Follow) -> None:
    tasks = {"ingest-examples": "SUCCEEDED", "stop-run-3": "FAILED"}

    submission, _ = follow({}, tasks, spec=load_spec("training"), logs_from="none")

    assert submission.stopped_by == "validation"
    assert "validation" in submission.reason


def test_a_run_that_succeeds_needs_no_log(server: kfp_backend.Server, follow: Follow) -> None:
    server.set(logs={"write-text": [ERROR]})
    _, output = follow({"write-text": [ERROR]}, {"write-text": "SUCCEEDED"})

    assert ERROR.strip() not in output
