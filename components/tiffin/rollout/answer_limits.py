"""What the limits of a rollout say of the answers that were recorded."""

from collections.abc import Mapping

from tiffin.rollout.document import Rollout
from tiffin.rollout.recorded import Recorded


def find_worse(recorded: Recorded, rollout: Rollout, levels: Mapping[str, float]) -> tuple[str, ...]:
    """Return the tests of the answers that find the candidate to be worse: `agreement`, `predictions`.

    Args:
        recorded: What was found.
        rollout: The rollout.
        levels: Level of each test that is on.
    """
    worse, limits = [], rollout.limits
    most = recorded.agreement.interval(level=levels["agreement"]).high if "agreement" in levels else 1.0
    if most < (limits.min_agreement or 0.0):
        worse.append("agreement")
    if "predictions" in levels and limits.max_distance is not None:
        # Each part in each step is a test of its own.
        tests = max(1, len(recorded.predictions) * sum(bool(step.weight) for step in rollout.steps))
        compared = recorded.compare(level=levels["predictions"] / tests, tolerance=limits.max_distance)
        if any(one.is_significant for one in compared.values()):
            worse.append("predictions")
    return tuple(worse)


def count_missing(recorded: Recorded, rollout: Rollout) -> int:
    """Return how many answers the step still needs because it has a limit on them; 0 if it has enough, or no limit."""
    step, limits = rollout.steps[rollout.step], rollout.limits
    if step.mirror and limits.min_agreement is not None:
        had = recorded.pairs - recorded.pairs_before
    elif step.weight and limits.max_distance is not None:
        had = min(_rows(recorded, route) for route in ("stable", "candidate"))
    else:
        return 0
    return max(0, step.min_requests - had) if recorded.since == rollout.since else step.min_requests


def _rows(recorded: Recorded, route: str) -> int:
    return max((sides[route].rows for sides in recorded.predictions.values()), default=0)
