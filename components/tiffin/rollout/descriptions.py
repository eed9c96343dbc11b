"""Sentences about a rollout: where it is, and why its candidate is worse."""

from tiffin.rollout.document import Rollout
from tiffin.rollout.evidence import Progress
from tiffin.rollout.plan import Limits
from tiffin.rollout.recorded import Recorded
from tiffin.rollout.statistics import histograms


def describe(rollout: Rollout) -> str:
    """Return where a rollout is, as a clause."""
    about = f"version {rollout.version}"
    if rollout.phase == "over":
        return f"{about} was {rollout.outcome}" if rollout.outcome != "inconclusive" else f"{about}: inconclusive"
    if rollout.phase in ("running", "paused"):
        step = rollout.steps[rollout.step]
        share = f"copies of {step.mirror:g} %" if step.mirror else f"{step.weight:g} % of the requests"
        number = f"step {rollout.step + 1} of {len(rollout.steps)}"
        return f"{about} gets {share}, {number}{', paused' if rollout.phase == 'paused' else ''}"
    if rollout.phase == "ending":
        return f"{about} gets no requests any more: {rollout.outcome}{f', {rollout.reason}' if rollout.reason else ''}"
    return f"{about}: {rollout.phase}"


def explain(progress: Progress, answers: Recorded, limits: Limits) -> str:
    """Return why a candidate is worse."""
    decision, stable, candidate = progress.decision, progress.stable, progress.candidate
    chance = f"p = {decision.p_value:.2g}"
    if decision.leading == "agreement":
        most = answers.agreement.interval(level=progress.levels["agreement"]).high
        return (
            f"it agrees with the version in production in {answers.agreement.agreeing:,} of {answers.pairs:,} answers, so in at "
            f"most {100 * most:.3g} %, and not in {100 * (limits.min_agreement or 0):g} %"
        )
    if decision.leading == "predictions":
        part, compared = max(answers.compare().items(), key=lambda one: one[1].at_least)
        return (
            f"the distance between its predictions of '{part}' and those of the version in production is "
            f"{compared.distance:.3g}, certainly at least {compared.at_least:.3g}, and not at most {limits.max_distance:g}"
        )
    if decision.leading.startswith("latency"):
        share = 0.5 if decision.leading.endswith("50") else 0.99
        times = (histograms.quantile(one.latency, share) for one in (candidate, stable))
        found, usual = (f"{time:.3g} ms" if time is not None else "unknown" for time in times)
        return f"its p{100 * share:.0f} is {found}, and that of the version in production {usual} ({chance})"
    return (
        f"{candidate.tally.errors:,} of its {candidate.tally.requests:,} requests failed, and {stable.tally.errors:,} of "
        f"{stable.tally.requests:,} of the version in production ({chance})"
    )
