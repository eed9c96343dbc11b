"""`tiffin schedule` as a process, against a backend in another one."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from support import command_line, kfp_backend
from support import toy_pipelines as toys
from support.command_line import tiffin

# State of a run to its time.
BORN = {"SUCCEEDED": "2026-11-25T03:00:00Z", "FAILED": "2026-11-26T03:00:00Z"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    return toys.write_spec(toys.toy, tmp_path)


def recurring(backend: kfp_backend.Server) -> list[tuple[str, str, str]]:
    found = backend.state()["recurring"].values()
    return [(one["display_name"], one["trigger"]["cron_schedule"]["cron"], one["status"]) for one in found]


def set_nightly(backend: kfp_backend.Server, spec: Path, *more: Any, cron: str = "0 3 * * *") -> tuple[int, str, str]:
    return tiffin("schedule", "set", "nightly", spec, "--cron", cron, *more, "--host", backend.address)


def test_a_recurring_run_is_created_once_and_replaced_when_it_changes(backend: kfp_backend.Server, spec: Path) -> None:
    outputs = [
        set_nightly(backend, spec)[1],
        set_nightly(backend, spec)[1],
        set_nightly(backend, spec, cron="30 4 * * mon")[1],
        set_nightly(backend, spec, "--set", "times=5", cron="30 4 * * mon")[1],
    ]

    became = [output.split()[1] for output in outputs]
    assert became == ["created:", "unchanged:", "replaced:", "replaced:"]
    assert recurring(backend) == [("nightly", "0 30 4 * * mon", "ENABLED")]
    (one,) = backend.state()["recurring"].values()
    assert one["runtime_config"]["parameters"] == {"times": 5}
    assert (one["max_concurrency"], one["no_catchup"]) == ("1", True)


def test_a_different_experiment_or_account_replaces_it(backend: kfp_backend.Server, spec: Path) -> None:
    trainer = ("--service-account", "trainer")
    calls = [
        ((*trainer, "--experiment", "a"), "created:"),
        ((*trainer, "--experiment", "a"), "unchanged:"),
        ((*trainer, "--experiment", "b"), "replaced:"),
        (("--experiment", "b"), "replaced:"),
        (("--experiment", "b"), "unchanged:"),
    ]

    assert [set_nightly(backend, spec, *options)[1].split()[1] for options, _ in calls] == [end for _, end in calls]
    (one,) = backend.state()["recurring"].values()
    experiments = backend.state()["experiments"]
    assert experiments[one["experiment_id"]]["display_name"] == "b"
    assert one["service_account"] == "pipeline-runner"


def test_a_replacement_never_leaves_two_enabled_runs(backend: kfp_backend.Server, spec: Path) -> None:
    set_nightly(backend, spec)
    before = len(backend.state()["requests"])
    # Of two changes within a second, the second is made again, so that its time is the later one.
    time.sleep(1)
    set_nightly(backend, spec, cron="@hourly")

    asked = [line for line in backend.state()["requests"][before:] if "GET" not in line and "recurring" in line]
    assert [line.split()[0] + line.rpartition(":")[1] for line in asked] == ["POST", "DELETE", "POST:"]


@pytest.mark.parametrize("fault", ["DELETE .*/recurringruns", "POST .*:enable"])
def test_an_interrupted_replacement_is_completed_by_the_same_command(
    backend: kfp_backend.Server, spec: Path, fault: str
) -> None:
    set_nightly(backend, spec)
    backend.fail(fault, 503)

    broken = set_nightly(backend, spec, cron="@daily")
    firing = [one for one in recurring(backend) if one[2] == "ENABLED"]
    mended = set_nightly(backend, spec, cron="@daily")

    assert (broken[0], mended[0]) == (1, 0)
    assert len(firing) <= 1
    assert recurring(backend) == [("nightly", "@daily", "ENABLED")]


def test_concurrent_jobs_leave_one_recurring_run(backend: kfp_backend.Server, spec: Path) -> None:
    arguments = ("schedule", "set", "nightly", spec, "--cron", "@daily", "--host", backend.address)
    jobs = [command_line.start(*arguments) for _ in range(3)]
    for job in jobs:
        job.communicate(timeout=60)

    assert [job.returncode for job in jobs] == [0, 0, 0]
    assert recurring(backend) == [("nightly", "@daily", "ENABLED")]


def test_pausing_resuming_listing_and_deleting(backend: kfp_backend.Server, spec: Path) -> None:
    at = ("--host", backend.address)
    empty = tiffin("schedule", "list", *at)
    set_nightly(backend, spec)
    for name in ("a", "b"):
        tiffin("schedule", "set", name, spec, "--cron", "@weekly", *at)
    tiffin("schedule", "pause", "nightly", *at)
    paused = tiffin("schedule", "list", *at)
    listed = tiffin("schedule", "list", "--json", *at)
    resumed = set_nightly(backend, spec)
    tiffin("schedule", "pause", "nightly", *at)
    tiffin("schedule", "resume", "nightly", *at)
    unknown = tiffin("schedule", "pause", "nihgtly", *at)
    tiffin("schedule", "delete", "a", *at)

    assert (empty[0], empty[1].count("\n"), empty[2]) == (0, 1, "")
    heads = [line.split() for line in paused[1].splitlines() if not line.startswith(" ")]
    assert heads == [
        ["a", "enabled", "@weekly", "toy"],
        ["b", "enabled", "@weekly", "toy"],
        ["nightly", "paused", "0", "3", "*", "*", "*", "toy"],
    ]
    assert [json.loads(line)["enabled"] for line in listed[1].splitlines()] == [True, True, False]
    assert "nightly resumed: " in resumed[1]
    assert unknown[0] == 2
    assert re.search(r"'nihgtly'\. .*'nightly'\?", unknown[2])
    assert sorted(recurring(backend)) == [("b", "@weekly", "ENABLED"), ("nightly", "0 0 3 * * *", "ENABLED")]


def test_the_list_shows_the_line_as_typed_the_next_run_and_the_last_result(
    backend: kfp_backend.Server, spec: Path
) -> None:
    at = ("--host", backend.address)
    set_nightly(backend, spec, cron="0  3 * * mon-fri")
    set_nightly(backend, spec, cron="0  3 * * mon-fri")
    before = tiffin("schedule", "list", *at)
    (one,) = backend.state()["recurring"].values()
    for state in ("SUCCEEDED", "FAILED"):
        backend.set(run={"recurring_run_id": one["recurring_run_id"], "state": state, "created_at": BORN[state]})
        tiffin("submit", spec, *at)
    backend.set(run={"state": "RUNNING", "created_at": "2026-11-27T09:00:00Z"})
    tiffin("submit", spec, *at)

    shown, listed = tiffin("schedule", "list", *at), tiffin("schedule", "list", "--json", *at)

    run = next(run for run in backend.state()["runs"].values() if run["state"] == "FAILED")
    version = next(iter(backend.state()["versions"].values()))
    url = f"{backend.address}/#/runs/details/{run['run_id']}"
    result = json.loads(listed[1])
    lines = shown[1].splitlines()
    assert shown[2] == ""
    assert before[1].splitlines()[0].split() == ["nightly", "enabled", "0", "3", "*", "*", "mon-fri", "toy"]
    assert re.fullmatch(r"  next \d{4}-\d\d-\d\d 03:00 UTC, .*", before[1].splitlines()[1])
    assert re.fullmatch(r"  next \d{4}-\d\d-\d\d 03:00 UTC, last FAILED 2026-11-26 03:00 UTC", lines[1])
    assert lines[2].strip() == url
    assert max(len(line) for line in lines[:2]) <= 80
    assert (result["cron"], result["backend_cron"]) == ("0 3 * * mon-fri", "0 0 3 * * mon-fri")
    assert (result["pipeline"], result["version"]) == ("toy", version["name"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT03:00:00Z", result["next_run"])
    started = "2026-11-26T03:00:00Z"
    assert result["last_run"] == {"run_id": run["run_id"], "state": "FAILED", "started_at": started, "url": url}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cron", "0 3 * *"], r"'0 3 \* \*'"),
        (["--cron", "@daily", "--set", "txet=a"], r"--set .*'txet'\. .*'text'\?"),
        ([], "error: .*'--cron'"),
    ],
)
def test_nothing_is_sent_before_the_arguments_are_checked(
    backend: kfp_backend.Server, spec: Path, arguments: list[str], message: str
) -> None:
    status, _, errors = tiffin("schedule", "set", "nightly", spec, *arguments, "--host", backend.address)

    assert status == 2
    assert re.search(message, errors)
    assert backend.state()["requests"] == []


@pytest.mark.parametrize(
    ("exists", "pauses"), [(False, [0, 0, 0]), (False, [0, 0, 3]), (True, [0, 2, 4]), (True, [0, 3, 3])]
)
def test_of_three_processes_at_once_only_the_one_that_is_kept_succeeds(
    backend: kfp_backend.Server, spec: Path, exists: bool, pauses: list[float]
) -> None:
    crons = ["@daily", "@weekly", "@hourly"]
    if exists:
        assert tiffin("schedule", "set", "nightly", spec, "--cron", "@monthly", "--host", backend.address)[0] == 0
    # None of the three has seen a change of another when it begins.
    backend.meet("GET .*/recurringruns$", 3)
    backend.hold("POST .*/recurringruns$", pauses)

    jobs = [
        command_line.start("schedule", "set", "nightly", spec, "--cron", cron, "--host", backend.address)
        for cron in crons
    ]
    ends = {cron: (*job.communicate(timeout=120), job.returncode) for cron, job in zip(crons, jobs, strict=True)}

    (left,) = backend.state()["recurring"].values()
    kept = left["trigger"]["cron_schedule"]["cron"]
    assert left["status"] == "ENABLED"
    assert {cron for cron, (_, _, status) in ends.items() if status == 0} == {kept}, ends
    for cron, (output, errors, status) in ends.items():
        assert status == (0 if cron == kept else 1)
        assert ("replaced" if exists else "created") in output or cron != kept
        assert "`tiffin schedule list`" in errors or cron == kept
