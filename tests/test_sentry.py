"""Errors in Sentry: what is reported, what is not, and that nothing changes without it."""

import json
import os
import subprocess
import sys

import pytest

from support.receivers import webhook
from tiffin.sentry import step_tags

# `dev` has no sentry_sdk.
RUNS_IN = ("data",)

STEP = """
import sys
from tiffin.errors import InputError, reported
password = "hunter2"
sys.argv += ["--function_to_execute", "train_model", "--executor_input", sys.argv[2]]
with reported():
    if sys.argv[1] == "bug":
        raise KeyError(f"http://ada:{password}@mlflow:5000")
    if sys.argv[1] == "explained":
        raise InputError("data should be a path. Received: s3://x?token=hunter2.")
print("sentry_sdk" in sys.modules)
"""
SERVER = """
import logging, sys, threading
from tiffin.errors import watched
logging.basicConfig()
watched("recorder")
if sys.argv[1] == "log":
    logging.getLogger("tiffin").error("Could not write %s", "http://ada:hunter2@store")
thread = threading.Thread(target=lambda: 1 / 0)
if sys.argv[1] == "thread":
    thread.start()
    thread.join()
if sys.argv[1] == "crash":
    1 / 0
"""
INPUT = json.dumps(
    {"outputs": {"artifacts": {"model": {"artifacts": [{"uri": "gs://b/training/r1/train-model/9/model"}]}}}}
)


@pytest.fixture
def sentry():
    with webhook() as server:
        yield server


def run(code, *arguments, dsn="", **variables):
    environment = {**os.environ, **({"SENTRY_DSN": dsn} if dsn else {}), **variables}
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)


def dsn(server):
    return f"http://key@{server.address}/1"


def events(server):
    return [body[2] for body in server.bodies]


def test_without_a_dsn_the_sdk_is_not_imported():
    assert run(STEP, "nothing", INPUT).stdout == "False\n"
    assert run(STEP, "bug", INPUT).returncode == 1


def test_a_step_that_succeeds_imports_nothing_either(sentry):
    assert run(STEP, "nothing", INPUT, dsn=dsn(sentry)).stdout == "False\n"
    assert sentry.bodies == []


@pytest.mark.parametrize(("kind", "status", "level"), [("bug", 1, "error"), ("explained", 65, "warning")])
def test_the_error_of_a_step(sentry, kind, status, level):
    done = run(STEP, kind, INPUT, dsn=dsn(sentry), SENTRY_ENVIRONMENT="production")
    assert done.returncode == status
    [event] = events(sentry)
    assert (event["level"], event["environment"]) == (level, "production")
    assert event["tags"] == {"component": "train_model", "pipeline_run": "r1"}
    text = json.dumps(event)
    assert "hunter2" not in text.replace('password = \\"hunter2\\"', "")
    assert "vars" not in event["exception"]["values"][-1]["stacktrace"]["frames"][-1]
    assert not {"request", "user", "extra"} & event.keys()
    assert event["breadcrumbs"] == {"values": []}


@pytest.mark.parametrize("place", ["http://key@127.0.0.1:1/1", "nonsense"])
@pytest.mark.parametrize(("kind", "status"), [("bug", 1), ("explained", 65)])
def test_a_sentry_that_is_down_changes_nothing(place, kind, status):
    plain, done = run(STEP, kind, INPUT), run(STEP, kind, INPUT, dsn=place)
    assert (plain.returncode, done.returncode) == (status, status)
    assert done.stderr.startswith(plain.stderr)


def test_a_slow_sentry_delays_a_step_by_seconds_at_most(sentry):
    sentry.delay_seconds = 20
    assert run(STEP, "bug", INPUT, dsn=dsn(sentry)).returncode == 1


@pytest.mark.parametrize(("how", "status"), [("crash", 1), ("thread", 0), ("log", 0)])
def test_the_errors_of_a_server(sentry, how, status):
    done = run(SERVER, how, dsn=dsn(sentry))
    assert done.returncode == status
    [event] = events(sentry)
    assert (event["level"] in {"error", "fatal"}, event["tags"]) == (True, {"server": "recorder"})
    assert "hunter2" not in json.dumps(event)


def test_a_server_without_errors(sentry):
    assert run(SERVER, "nothing", dsn=dsn(sentry)).returncode == 0
    assert sentry.bodies == []


@pytest.mark.parametrize(
    ("arguments", "tags"),
    [
        ([], {}),
        (["--function_to_execute"], {}),
        (["--function_to_execute", "train_model"], {"component": "train_model"}),
        (["--function_to_execute", "train_model", "--executor_input", "{"], {"component": "train_model"}),
        (["--function_to_execute", "train_model", "--executor_input", "[]"], {"component": "train_model"}),
        (
            ["--executor_input", '{"outputs": {"outputFile": "/state/r2/train-model-2/executor_output.json"}}',
             "--function_to_execute", "train_model"],
            {"component": "train_model", "pipeline_run": "r2"},
        ),
    ],
)  # fmt: skip
def test_the_tags_of_a_step(arguments, tags):
    assert step_tags(arguments) == tags
