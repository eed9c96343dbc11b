"""The drift gate: compare the examples with what the model in production was trained on.

- No model in production: the first one has nothing to be compared with, and passes.
- A model in production whose training data cannot be compared, such as one without kept statistics, does not pass the gate
  `stop`: a comparison that was not made must not look like one.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.artifacts.drift import Drift
from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.notes import Note
from tiffin.artifacts.results import VARIABLE
from tiffin.artifacts.statistics import find_split
from tiffin.drift.limits import Limits, read_limits
from tiffin.errors import InputError, TiffinError
from tiffin.printing import printable
from tiffin.stages.validate.parameters import check_drift_gate
from tiffin.stages.validate.reuse import find_kept
from tiffin.tracking.names import check_optional_name

_TRAIN = "train"
_AGAIN = "To train on this data all the same, set drift_gate=report in one run"


@dataclass(frozen=True)
class Gate:
    """What the examples are compared with, and what drift does.

    Attributes:
        mode: `off` compares nothing, `report` reports drift, `stop` makes the examples invalid.
        model_name: Name of the model in production; empty if unknown.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT of the environment.
        thresholds: Thresholds by measure or column, as `tiffin.drift.limits` reads them.
    """

    mode: str = "report"
    model_name: str = ""
    serving_root: str = ""
    thresholds: Mapping[str, Any] = field(default_factory=dict)

    @property
    def root(self) -> str:
        """Path or URI of the serving root; empty if unknown."""
        return self.serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")


@dataclass(frozen=True)
class _Trained:
    """What the model in production was trained on.

    Attributes:
        name: Name of the baseline in messages.
        version: Version in production; None if there is none.
        data_version: Version of its training data.
        problem: Why it cannot be compared; empty if it can.
    """

    name: str
    version: int | None = None
    data_version: str = ""
    problem: str = ""


def check_gate(gate: Gate, schema: schema_pb2.Schema | None = None) -> Limits:
    """Return what columns may differ by: the thresholds of the gate go before those of the schema's `drift_comparator`.

    Raises:
        InputError: A parameter is wrong, or the gate stops a run and the model in production is not named.
    """
    check_drift_gate(gate.mode)
    check_optional_name(gate.model_name)
    if gate.mode == "stop" and (absent := _absent(gate)):
        raise InputError(
            f"{absent} should be set for drift_gate=stop. Received: {absent}=''. Set it, or set drift_gate=report."
        )
    return read_limits(gate.thresholds, schema, name="drift_thresholds")


def compare_with_production(
    gate: Gate,
    limits: Limits,
    manifest: Manifest,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    *,
    scratch: str | Path,
    names: Mapping[str, str] | None = None,
    store: str = "",
) -> tuple[Drift, str]:
    """Return the drift of the split `train` from that of the model in production, and why the gate stops the run.

    Prints the lines of the step's log.

    Args:
        gate: The gate.
        limits: What columns may differ by, as `check_gate` returned it.
        manifest: Manifest of the examples.
        statistics: Statistics of the examples.
        scratch: Existing folder for temporary files.
        names: Name of a column in the examples to its name in the data, where they differ.
        store: Folder or URI that keeps statistics; empty for TIFFIN_RESULT_STORE.

    Returns:
        The drift, with a note if nothing was compared, and the reason of a gate that does not pass; empty if it passes.
    """
    if gate.mode == "off":
        return _nothing("", "Not compared with production: drift_gate=off.", limits, manifest), ""
    drift, problem = _compare(gate, limits, manifest, statistics, Path(scratch), names or {}, store)
    failure = ""
    if gate.mode == "stop":
        if problem:
            failure = f"drift_gate=stop could not compare the data: {problem}. {_AGAIN}."
        elif drift.drifted:
            failure = f"{drift.reason} {_AGAIN}, or raise drift_thresholds."
    elif drift.drifted:
        columns = [column.column for column in drift.columns if column.drifted]
        text = f"{drift.reason} The run goes on (drift_gate=report)."
        drift = replace(drift, notes=(Note("DRIFTED", text, count=len(columns), example=columns[0]), *drift.notes))
    texts = [note.text for note in drift.notes]
    for line in texts if any(drift.reason in text for text in texts) else (drift.reason, *texts):
        print(printable(line), flush=True)  # noqa: T201 - the step's log
    return drift, failure


def _absent(gate: Gate) -> str:
    """Return the parameter that is missing to find the model in production; empty if none is."""
    return "model_name" if not gate.model_name else "" if gate.root else "serving_root"


def _compare(
    gate: Gate,
    limits: Limits,
    manifest: Manifest,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    scratch: Path,
    names: Mapping[str, str],
    store: str,
) -> tuple[Drift, str]:
    """Return the drift, and why nothing was compared although there is a model in production; empty if it was."""
    if absent := _absent(gate):
        return _nothing(
            "DRIFT_NOT_COMPARED", f"Not compared with production: {absent} is not set.", limits, manifest
        ), ""
    trained = _find_trained(gate.root, gate.model_name)
    if trained.version is None and not trained.problem:
        text = f"Nothing to compare with: no model '{gate.model_name}' is in production."
        return _nothing("NO_BASELINE", text, limits, manifest), ""
    before, problem = _find_statistics(trained, manifest, statistics, scratch, store)
    if before is None:
        text = f"Not compared with production: {problem}."
        return _nothing("DRIFT_NOT_COMPARED", text, limits, manifest, trained), problem
    # These import SciPy.
    from tiffin.drift.comparison import Sides, compare
    from tiffin.drift.statistics import read_profiles

    sides = Sides(trained.name, f"split '{_TRAIN}'", trained.data_version, names, "statistics", "statistics")
    return compare(read_profiles(before), read_profiles(find_split(statistics, _TRAIN)), sides, limits), ""


def _find_trained(serving_root: str, name: str) -> _Trained:
    """Return what the model in production was trained on, by the history of the serving root."""
    from tiffin.serving.history import read_history
    from tiffin.serving.production import find_production, locate_root
    from tiffin.serving.root import ServedModel

    who = f"model '{name}' in production"
    root = locate_root(serving_root)
    if root is None:
        why = f"the serving root '{serving_root}' does not exist here: create it, or mount its volume for this step too"
        return _Trained(who, problem=why)
    served = ServedModel(root, name)
    try:
        version, _ = find_production(served)
        record = None if version is None else read_history(served).candidacy(version)
    except (TiffinError, OSError) as error:
        return _Trained(who, problem=f"the serving root '{serving_root}' could not be read: {error}".rstrip("."))
    if version is None:
        return _Trained(who)
    who = f"the training data of model '{name}' version {version} in production"
    if record is None or record.lineage is None or not record.lineage.data_version:
        return _Trained(who, version, problem=f"the history in '{serving_root}' does not name {who}")
    return _Trained(who, version, record.lineage.data_version)


def _find_statistics(
    trained: _Trained,
    manifest: Manifest,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    scratch: Path,
    store: str,
) -> tuple[statistics_pb2.DatasetFeatureStatistics | None, str]:
    """Return the statistics of the training data, or None and why they cannot be compared."""
    if trained.problem:
        return None, trained.problem
    of = f"{trained.name} (data version {trained.data_version})"
    notes: tuple[Note, ...] = ()
    kept: statistics_pb2.DatasetFeatureStatisticsList | None = statistics
    if trained.data_version != manifest.version:
        kept, notes = find_kept(trained.data_version, scratch, store=store)
    if kept is None:
        where = store or os.environ.get(VARIABLE, "")
        if notes:
            return None, f"the statistics of {of} could not be read: {notes[0].text}".rstrip(".")
        place = f"in '{where}'" if where else f"since neither data_root nor {VARIABLE} is set"
        return None, f"no statistics of {of} are kept {place}"
    try:
        find_split(statistics, _TRAIN)
        return find_split(kept, _TRAIN), ""
    except InputError as error:
        return None, f"both sides need a split '{_TRAIN}': {error}".rstrip(".")


def _nothing(code: str, reason: str, limits: Limits, manifest: Manifest, trained: _Trained | None = None) -> Drift:
    """Return a drift without columns: nothing was compared."""
    split = manifest.splits.get(_TRAIN)
    notes = (Note(code, reason),) if code else ()
    return Drift(
        drifted=False,
        reason=reason,
        baseline=trained.name if trained else "",
        current=f"split '{_TRAIN}'",
        rows_before=0,
        rows=split.rows if split else 0,
        level=limits.level,
        columns=(),
        notes=notes,
        baseline_version=trained.data_version if trained else "",
    )
