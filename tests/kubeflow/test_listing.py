"""Recurring runs that others set, listed with the library against a backend in another process."""

import datetime
import io
from pathlib import Path
from typing import Any

import pytest

from support import kfp_backend
from support import toy_pipelines as toys
from tiffin.authoring.compilation import load_spec
from tiffin.kubeflow.connection import Backend, request
from tiffin.kubeflow.listing import Schedule, list_schedules, show_schedules
from tiffin.kubeflow.publication import Published, publish_spec
from tiffin.kubeflow.submission import find_experiment, run_settings

NOW = datetime.datetime(2026, 11, 27, 11, 30, tzinfo=datetime.UTC)


@pytest.fixture
def published(backend: Backend, tmp_path: Path) -> Published:
    return publish_spec(backend, load_spec(str(toys.write_spec(toys.toy, tmp_path))))


def add(backend: Backend, published: Published, trigger: dict[str, Any], **fields: Any) -> None:
    settings = run_settings(published, find_experiment(backend, "toy"), {})
    body = {"display_name": "theirs", "mode": "ENABLE", "trigger": trigger, **settings, **fields}
    request(backend, "POST", "/apis/v2beta1/recurringruns", body=body)


def cron(line: str, **limits: str) -> dict[str, Any]:
    return {"cron_schedule": {"cron": line, **limits}}


def only(backend: Backend) -> Schedule:
    (one,) = list_schedules(backend, NOW)
    return one


@pytest.mark.parametrize(
    ("trigger", "description", "shown", "following"),
    [
        (cron("0 0 3 * * *"), "", "0 0 3 * * *", "2026-11-28T03:00:00Z"),
        # Set by an earlier version of Tiffin, which did not record the line.
        (cron("0 0 3 * * *"), "Set by Tiffin. Runs as trainer.", "0 3 * * *", "2026-11-28T03:00:00Z"),
        (cron("30 0 3 * * *"), "Set by Tiffin. Runs as trainer.", "30 0 3 * * *", "2026-11-28T03:00:30Z"),
        # The description was copied from another recurring run.
        (
            cron("0 0 4 * * *"),
            "Set by Tiffin with --cron '0 3 * * *'. Runs as x.",
            "0 0 4 * * *",
            "2026-11-28T04:00:00Z",
        ),
        (cron("0 0 4 * * *"), "Set by Tiffin with --cron 'soon'. Runs as x.", "0 0 4 * * *", "2026-11-28T04:00:00Z"),
        (cron("@every 1h"), "", "@every 1h", None),
        (cron("@daily", start_time="2027-01-01T00:00:01Z"), "", "@daily", "2027-01-02T00:00:00Z"),
        (cron("@daily", end_time="2026-11-27T23:00:00Z"), "", "@daily", None),
        ({"periodic_schedule": {"interval_second": "90000"}}, "", "every 1 day, 1:00:00", "2026-11-28T10:00:00Z"),
        ({"periodic_schedule": {"interval_second": "60"}}, "", "every 0:01:00", "2026-11-27T11:30:00Z"),
    ],
)
def test_what_others_set_is_shown_as_far_as_it_is_known(
    backend: Backend,
    published: Published,
    trigger: dict[str, Any],
    description: str,
    shown: str,
    following: str | None,
) -> None:
    periodic = trigger.get("periodic_schedule")
    if periodic:
        periodic["start_time"] = "2026-11-27T09:00:00Z"
    add(backend, published, trigger, description=description)

    one = only(backend)

    assert one.trigger == shown
    assert one.to_json()["next_run"] == following
    assert one.to_json()["last_run"] is None


def test_a_paused_one_has_no_next_run(backend: Backend, published: Published) -> None:
    add(backend, published, cron("@daily"), mode="DISABLE")

    assert only(backend).to_json()["next_run"] is None


def test_a_deleted_version_is_shown_by_its_id(
    server: kfp_backend.Server, backend: Backend, published: Published
) -> None:
    add(backend, published, cron("@daily"))
    server.fail("GET .*/pipelines/[^/]+/versions/", 404, {"message": "not found"})

    one = only(backend)

    assert (one.pipeline, one.version) == ("toy", published.version_id)


def test_names_are_requested_once(server: kfp_backend.Server, backend: Backend, published: Published) -> None:
    for name in ("a", "b", "c"):
        add(backend, published, cron("@daily"), display_name=name)
    before = len(server.state()["requests"])

    assert [one.recurring.name for one in list_schedules(backend, NOW)] == ["a", "b", "c"]

    requests = [line.rpartition("v2beta1/")[2] for line in server.state()["requests"][before:]]
    assert sum(line.startswith("pipelines/") for line in requests) == 2
    assert requests.count("runs") == 3


def test_the_list_is_aligned_in_80_columns(backend: Backend, published: Published) -> None:
    add(backend, published, cron("@daily"), display_name="a")
    add(backend, published, cron("0 */15 9-17 * * mon-fri"), display_name="every quarter of an hour", mode="DISABLE")
    stream = io.StringIO()

    show_schedules(list_schedules(backend, NOW), stream)

    lines = stream.getvalue().splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert len(lines) == 4
    assert max(map(len, lines)) <= 80
    assert len({line.index("toy") for line in heads}) == 1
    assert lines[1].startswith("  next 2026-11-28 00:00 UTC")
    assert lines[3].startswith("  next -")
