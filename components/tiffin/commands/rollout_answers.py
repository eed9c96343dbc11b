"""The answers of both versions of a rollout, as lines of text and as JSON."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tiffin.commands.rollout_views import labelled

# Imports of tiffin.rollout take numpy: they are made on use.

# Rows with the largest differences that are shown as text, letters of their inputs, and quantiles of the differences.
_SHOWN, _LONGEST = 3, 120
_QUANTILES = (0.5, 0.9, 0.99)
_SKIPPED = {
    "failed": "of failed requests",
    "signatures": "of other signatures",
    "values": "without the outputs",
    "rows": "of requests with several rows, for a table without row",
    "no_key": "of requests without x-tiffin-key",
}


def answer_lines(recorded: Any, note: str) -> Iterator[str]:
    """Yield lines about the answers of a rollout that the prediction log has shown.

    Args:
        recorded: What was found.
        note: Why answers are missing; empty otherwise.
    """
    if note:
        yield from labelled("recorded", note)
    if recorded.choice is None:
        yield from labelled("answers", "fewer than 20 are in the prediction log so far")
        return
    if not recorded.choice.outputs:
        yield from labelled("answers", "the prediction log has no output with numbers")
    if recorded.pairs:
        yield from _agreement_lines(recorded)
    for part, found in recorded.compare().items():
        sides = recorded.predictions[part]
        means = [_number(sides[route].moments.mean) for route in ("candidate", "stable")]
        rows = " and ".join(f"{sides[route].rows:,}" for route in ("candidate", "stable"))
        yield from labelled("distance", f"{part}: {found.distance:.3g}, at least {found.at_least:.3g} ({rows} rows)")
        yield from labelled("", f"mean {means[0]}, and {means[1]} in production")
    if recorded.choice.left_out:
        yield from labelled("not compared", f"outputs without numbers: {', '.join(recorded.choice.left_out)}")
    yield from _skipped_lines(recorded)


def answers_to_json(recorded: Any, note: str) -> dict[str, Any]:
    """Return the answers of a rollout as JSON types; see `answer_lines` for the arguments."""
    from tiffin.artifacts.documents import to_json

    found: dict[str, Any] = {
        "signature": recorded.choice and recorded.choice.signature,
        "not_compared": list(recorded.choice.left_out) if recorded.choice else [],
        "skipped_rows": recorded.skipped,
        "unread_files": recorded.unread_files,
        "note": note,
        "agreement": None,
        "predictions": {},
    }
    if recorded.pairs:
        agreement = recorded.agreement
        found["agreement"] = {
            "pairs": agreement.pairs,
            "agreeing": agreement.agreeing,
            "share": agreement.share,
            "interval": to_json(agreement.interval()),
            "unpaired_stable": agreement.unpaired_stable,
            "unpaired_candidate": agreement.unpaired_candidate,
            "waiting": len(recorded.waiting_stable) + len(recorded.waiting_candidate),
            "repeated": agreement.repeated,
            "outputs": {
                name: {
                    "kind": output.rule.kind,
                    "agreeing": output.agreeing,
                    "mean_difference": output.differences.mean,
                    "quantiles": {f"{share:g}": output.quantile(share) for share in _QUANTILES},
                    "not_finite_stable": output.not_finite_stable,
                    "not_finite_candidate": output.not_finite_candidate,
                    "largest": to_json(output.largest),
                }
                for name, output in agreement.outputs.items()
            },
        }
    for part, compared in recorded.compare().items():
        sides = recorded.predictions[part]
        found["predictions"][part] = {
            "distance": compared.distance,
            "at_least": compared.at_least,
            "at": compared.at,
            **{route: {"rows": side.rows, "mean": side.moments.mean} for route, side in sides.items()},
        }
    return found


def label_lines(name: str, rollout: Any, joined: Any, unread: Counter[str]) -> Iterator[str]:
    """Yield lines about the quality of both versions.

    Args:
        name: Name of the model.
        rollout: The rollout.
        joined: Labels joined with answers.
        unread: Reason to the number of lines of the table that cannot be read.
    """
    quality = joined.quality
    yield f"{name}: version {rollout.version} and version {rollout.stable} in production"
    notes = {
        "without an answer": quality.unused,
        "contradicting": quality.contradicting,
        "repeated": quality.repeated_labels,
        "incomplete": joined.incomplete,
        "unreadable": sum(unread.values()),
    }
    more = "".join(f", {number:,} {what}" for what, number in notes.items() if number)
    yield from labelled("labels", f"{joined.labels:,} by {joined.by}{more}")
    for what, route in (("candidate", "candidate"), ("in production", "stable")):
        not_finite = f", {quality.not_finite[route]:,} not finite" if quality.not_finite[route] else ""
        yield from labelled(
            what, f"{quality.matched[route]:,} answers with a label, {quality.unlabelled[route]:,} without{not_finite}"
        )
    if quality.repeated_outputs:
        yield from labelled("", f"{quality.repeated_outputs:,} answers were logged again, and count once")
    yield from labelled("output", f"{joined.output} ({joined.task})")
    for metric, found in quality.metrics.items():
        if found.difference is None:
            yield from labelled(metric, "unknown: it needs answers of both versions with labels of each kind")
            continue
        around = (
            f"{found.interval.low:+.3g} to {found.interval.high:+.3g}"
            if found.interval
            else "no interval below 100 rows"
        )
        yield from labelled(
            metric,
            f"{found.candidate:.4g}, and {found.stable:.4g} in production: {found.difference:+.3g} ({around})",
        )
    yield from _skipped_lines(joined)


def labels_to_json(name: str, rollout: Any, joined: Any, unread: Counter[str]) -> dict[str, Any]:
    """Return the quality of both versions as JSON types; see `label_lines` for the arguments."""
    from tiffin.artifacts.documents import to_json

    return {
        "model": name,
        "rollout": rollout.id,
        "version": rollout.version,
        "stable": rollout.stable,
        **to_json(joined),
        "unreadable_lines": dict(unread),
    }


def _agreement_lines(recorded: Any) -> Iterator[str]:
    agreement = recorded.agreement
    around = agreement.interval()
    lone = f"{agreement.unpaired_candidate:,} and {agreement.unpaired_stable:,} in production without a pair"
    repeated = f", {agreement.repeated:,} with a repeated ID" if agreement.repeated else ""
    yield from labelled("copies", f"{agreement.pairs:,} pairs of answers; {lone}{repeated}")
    yield from labelled(
        "agreement", f"{100 * agreement.share:.3g} % of the pairs ({100 * around.low:.3g} to {100 * around.high:.3g} %)"
    )
    for name, output in agreement.outputs.items():
        quantiles = ", ".join(f"p{100 * share:g} {_quantile(output, share)}" for share in _QUANTILES)
        yield from labelled("difference", f"{name}: {quantiles}")
        if output.not_finite_stable or output.not_finite_candidate:
            yield from labelled(
                "", f"{output.not_finite_candidate:,} and {output.not_finite_stable:,} answers are not finite"
            )
        for pair in output.largest[:_SHOWN]:
            both = f"{_numbers(pair.candidate)}, and {_numbers(pair.stable)} in production"
            yield from labelled("", f"{pair.key}: {both}")
            if pair.inputs:
                given = ", ".join(f"{one}={value}" for one, value in pair.inputs.items())
                # JSON has all of it.
                yield from labelled("", given if len(given) <= _LONGEST else f"{given[:_LONGEST]}…")


def _skipped_lines(found: Any) -> Iterator[str]:
    """Yield what was left out of the prediction log."""
    if found.skipped:
        parts = (f"{number:,} {_SKIPPED[reason]}" for reason, number in found.skipped.items())
        yield from labelled("rows left out", ", ".join(parts))
    if found.unread_files:
        yield from labelled("files left out", f"{found.unread_files:,} that cannot be read")


def _quantile(output: Any, share: float) -> str:
    # Exact to 12 %.
    found = output.quantile(share)
    return "unknown" if found is None else f"{found:.2g}"


def _numbers(values: tuple[float, ...]) -> str:
    shown = ", ".join(_number(value) for value in values[:3])
    return shown if len(values) == 1 else f"[{shown}{', …' if len(values) > 3 else ''}]"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"
