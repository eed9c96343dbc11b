"""Roll out a version that has files in the serving root, and wait until the rollout is over."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from tiffin.artifacts.rollout import RolloutResult, write_rollout
from tiffin.errors import InputError
from tiffin.governance.aliases import follow_or_warn
from tiffin.governance.identity import check_person, find_account, person_or_account
from tiffin.printing import printable
from tiffin.rollout import course
from tiffin.rollout.cluster.places import find_places
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.rollout.driving import Pace, drive
from tiffin.rollout.evidence import Progress
from tiffin.rollout.plan import Strategy, make_steps
from tiffin.serving.history import Author
from tiffin.serving.root import ServedModel, resolve_root
from tiffin.stages.rollout.parameters import (
    check_deadline_hours,
    check_load_seconds,
    check_look_seconds,
    check_version,
    make_limits,
)


def roll_out(
    output: str | Path,
    name: str,
    version: int,
    *,
    strategy: str = "canary",
    steps: Sequence[Mapping[str, Any]] = (),
    limits: Mapping[str, Any] | None = None,
    sticky: str = "",
    allow_signature_change: bool = False,
    deadline_hours: float = 24.0,
    load_seconds: float = 900.0,
    look_seconds: float = 5.0,
    serving_root: str = "",
    why: str = "",
    requested_by: str = "",
    tracking_uri: str = "",
    run: str = "",
) -> RolloutResult:
    """Roll out a version, wait until the rollout is over, and return how it ended.

    Args:
        output: Folder of the rollout artifact.
        name: Name of the model.
        version: A version with files, at least 1.
        strategy: One of `tiffin.rollout.plan.STRATEGIES`. Defaults to canary.
        steps: Steps in place of those of the strategy, as `make_steps` takes them.
        limits: Limit to its value, as `Limits` has them. Defaults to those of `Limits`.
        sticky: Header that divides the requests; empty to divide them at random.
        allow_signature_change: Whether the version may have other signatures than the one in production. Defaults to False.
        deadline_hours: Time from the start to the end, in hours, above 0. Defaults to 24.
        load_seconds: Time for servers to load the version and answer, in seconds, above 0. Defaults to 900.
        look_seconds: Time between looks, in seconds, at least 0.1. Defaults to 5.
        serving_root: Path or URI; empty for the environment variable TIFFIN_SERVING_ROOT.
        why: Reason recorded in the rollout and the history.
        requested_by: Person who asked for the run; empty for the service account of the pod.
        tracking_uri: MLflow tracking URI, for the aliases; empty for the environment variable MLFLOW_TRACKING_URI. Without
            either, there are no aliases.
        run: Pipeline run ID, with which a retry finds its rollout; empty outside a pipeline.

    Raises:
        InputError: A parameter is invalid, the version cannot be rolled out, or another rollout has taken its place.
        Conflict: Another rollout of the model is under way.
        ServingError: There is no gateway.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    if not root:
        raise InputError(
            "serving_root should be the path or gs:// URI that the model servers load from. Received: serving_root='', and "
            "TIFFIN_SERVING_ROOT is not set. Set one of them."
        )
    check_version(version)
    check_deadline_hours(deadline_hours)
    check_load_seconds(load_seconds)
    check_look_seconds(look_seconds)
    check_person(requested_by)
    planned, allowed = make_steps(strategy, steps, sticky=sticky), make_limits(limits or {})
    served = ServedModel(resolve_root(root), name)
    places = find_places(os.environ)
    if allowed.needs_answers and not places.log:
        raise InputError(
            "min_agreement and max_distance in limits need the prediction log. Received: no TIFFIN_LOG_ROOT. Set it to the root "
            "that the recorder writes to."
        )
    rollout = _find_ended(served, version, run)
    if rollout:
        _say(f"the rollout of this run is over since {rollout.since}")
    else:
        author = Author(person_or_account(requested_by), why, find_account(), run)
        rollout = course.start(
            served, version, author, strategy=cast("Strategy", strategy), steps=planned, limits=allowed, sticky=sticky,
            allow_signature_change=allow_signature_change,
        )  # fmt: skip
        _say(
            f"rollout {rollout.id} is compared with version {rollout.stable}; take part with: tiffin rollout status {name}"
        )
        pace = Pace(look=look_seconds, load=load_seconds, deadline=3600 * deadline_hours)
        rollout = drive(served, rollout.id, lambda: places, pace, lambda line: _say(f"{name}: {line}"))
    result = _result(served, rollout, places.stable)
    write_rollout(output, result)
    for line in follow_or_warn(served, tracking_uri):
        _say(line)
    _say(result.sentence)
    return result


def _find_ended(served: ServedModel, version: int, run: str) -> Rollout | None:
    """Return the rollout of an earlier attempt of the same run if it is over: its outcome stands."""
    found, _ = read_rollout(served)
    is_own = found and run and (found.version, found.author.run) == (version, run)
    return found if found and is_own and found.is_over else None


def _result(served: ServedModel, rollout: Rollout, address: str) -> RolloutResult:
    progress = rollout.progress or Progress()
    stable, candidate = progress.stable.tally, progress.candidate.tally
    return RolloutResult(
        served.name, rollout.version, rollout.stable, rollout.strategy, rollout.outcome or "aborted", rollout.reason,
        rollout.by, rollout.started, rollout.since, candidate.requests, candidate.errors, stable.requests, stable.errors,
        address if rollout.outcome == "promoted" else "",
    )  # fmt: skip


def _say(line: str) -> None:
    print(printable(line), flush=True)  # noqa: T201 - the step's log
