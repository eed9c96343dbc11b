"""Compare examples with a baseline, column by column: by their statistics, or by their rows."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tiffin.artifacts.drift import Drift, write_drift
from tiffin.artifacts.examples import read_manifest, shard_uris
from tiffin.artifacts.model import TRAINING, read_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import read_reference
from tiffin.artifacts.run_files import REFERENCE
from tiffin.artifacts.schema import read_schema
from tiffin.artifacts.statistics import find_split, keep_statistics, read_kept, read_statistics
from tiffin.artifacts.verdict import VERDICT, read_evaluation
from tiffin.drift.comparison import Sides, compare
from tiffin.drift.examples import count_examples, count_split, profile_examples
from tiffin.drift.limits import LEVEL, read_limits
from tiffin.drift.profiles import Profile
from tiffin.drift.statistics import read_profiles
from tiffin.errors import InputError
from tiffin.stages.validate.drift_report import describe
from tiffin.storage.files import write_bytes

_SPLIT = "baseline_split"


@dataclass(frozen=True)
class Baseline:
    """What the examples are compared with.

    Attributes:
        artifact: Folder of a statistics artifact, or of a reference of a model; empty for none.
        location: Path or URI of statistics; empty for none.
        split: Split of the baseline.
        update: Whether the statistics of the examples replace those at `location` after the comparison.
        examples: Folder of an examples artifact, whose rows are counted; empty for none.
    """

    artifact: str = ""
    location: str = ""
    split: str = "train"
    update: bool = False
    examples: str = ""


def compare_with_baseline(
    statistics: str | Path,
    drift_artifact: str | Path,
    report: str | Path,
    baseline: Baseline,
    *,
    examples: str | Path = "",
    split: str = "train",
    schema: str | Path = "",
    label: str = "",
    thresholds: Mapping[str, Any] | None = None,
    level: float = LEVEL,
    comparison: str = "drift",
) -> Drift:
    """Write the drift of the examples from a baseline and its report, and return it.

    Args:
        statistics: Folder of the statistics artifact of the examples; empty to count their rows.
        drift_artifact: Folder to write the drift to.
        report: Markdown file to write.
        baseline: What the examples are compared with.
        examples: Folder of the examples artifact, whose rows are counted in the bins of the baseline; empty for none.
        split: Split of the examples. Defaults to `train`.
        schema: Folder of a schema artifact, or path or URI of a schema, whose comparators have thresholds; empty for none.
        label: Column that one side may lack; empty for none.
        thresholds: Thresholds by measure or column, as `tiffin.drift.limits` reads them. Defaults to its defaults.
        level: Share of false discoveries, above 0 and below 1. Defaults to 0.005.
        comparison: Comparator of the schema, `drift` or `skew`. Defaults to `drift`.

    Raises:
        InputError: There is no baseline, or more than one, or not one of statistics and examples; a split is unknown, or a
            threshold is wrong.
    """
    limits = read_limits(thresholds, read_schema(schema) if schema else None, comparison, level)
    _check(bool(statistics), bool(examples), baseline)
    ours = read_statistics(statistics) if statistics else None
    # A split that does not exist is told before the baseline is read.
    current = None if ours is None else find_split(ours, split)
    rows = count_split(examples, split) if current is None else int(current.num_examples)
    before = _profile_baseline(baseline)
    if before is None:
        sentence = f"Nothing to compare with: no statistics at '{baseline.location}' yet."
        note = Note("NO_BASELINE", "no earlier statistics: these are the first", example=baseline.location)
        drift = Drift(False, sentence, baseline.location, f"split '{split}'", 0, rows, level, (), (note,))
    else:
        now = count_examples(examples, split, before) if current is None else read_profiles(current)
        sides = Sides(
            _name(baseline), f"split '{split}'", _version(baseline), {},
            "rows" if baseline.examples else "statistics", "statistics" if statistics else "rows",
        )  # fmt: skip
        drift = compare(before, now, sides, limits, _importance(baseline.artifact), frozenset({label} - {""}))
    if baseline.update:
        note = Note("BASELINE_UPDATED", "the next comparison is with these statistics", example=baseline.location)
        drift = replace(drift, notes=(*drift.notes, note))
    write_drift(drift_artifact, drift)
    write_bytes(report, describe(drift).encode())
    if baseline.update and ours is not None:
        # Last: an attempt that ends before compares with the same baseline again.
        keep_statistics(baseline.location, ours)
    return drift


def _check(has_statistics: bool, has_examples: bool, baseline: Baseline) -> None:
    """Raise an InputError unless each side is given once."""
    if has_statistics == has_examples:
        received = "both" if has_statistics else "neither"
        raise InputError(f"Either statistics or examples should be passed. Received: {received}.")
    given = {
        "reference": baseline.artifact,
        "baseline_location": baseline.location,
        "baseline_examples": baseline.examples,
    }
    names = [name for name, value in given.items() if value]
    if len(names) != 1:
        raise InputError(
            f"One of {', '.join(given)} should be passed, as the baseline. Received: {' and '.join(names) or 'none'}."
        )
    if baseline.update and not baseline.location:
        raise InputError("update_baseline needs baseline_location, where the statistics are stored. Received: ''.")
    if baseline.update and not has_statistics:
        raise InputError(
            "update_baseline needs statistics, which it stores. Received: examples. Pass statistics instead."
        )


def _profile_baseline(baseline: Baseline) -> dict[str, Profile] | None:
    """Return the profiles of the baseline; None if there are none yet, and these will be the first."""
    if baseline.examples:
        shard_uris(baseline.examples, baseline.split, _SPLIT)
        return profile_examples(baseline.examples, baseline.split)
    if baseline.artifact:
        return read_profiles(find_split(read_statistics(baseline.artifact), baseline.split, _SPLIT))
    found = read_kept(baseline.location)
    if found is None and not baseline.update:
        raise InputError(
            f"No statistics at baseline_location='{baseline.location}'. Pass the path or URI of a statistics.binpb, or set "
            "update_baseline, so that the first run stores its own there."
        )
    return None if found is None else read_profiles(find_split(found, baseline.split, _SPLIT))


def _name(baseline: Baseline) -> str:
    if baseline.artifact and (Path(baseline.artifact) / REFERENCE).is_file():
        reference = read_reference(baseline.artifact)
        return f"the training data of '{reference.model}' version {reference.version}"
    where = "the other examples" if baseline.examples else "the other statistics"
    where = f"'{baseline.location}'" if baseline.location else where
    return f"split '{baseline.split}' of {where}"


def _version(baseline: Baseline) -> str:
    """Return the data version of a model's reference or of examples; empty for other statistics."""
    if baseline.examples:
        return read_manifest(baseline.examples).version
    artifact = baseline.artifact
    return read_training(artifact).data_version if artifact and (Path(artifact) / TRAINING).is_file() else ""


def _importance(artifact: str) -> dict[str, float] | None:
    """Return the share of each column in the attributions of a model's reference; None without them."""
    if not artifact or not (Path(artifact) / VERDICT).is_file():
        return None
    attributions = read_evaluation(artifact).attributions
    return attributions.shares if attributions else None
