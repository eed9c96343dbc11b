"""The check against the model in production, the champion.

- No model in production: the first one passes.
- A champion that cannot be loaded, that fails on the rows, or whose predictions mean something else (another label, task or
  classes), stops the model, unless the gate says `incomparable: pass`: a comparison that was not made must not look like one.
- A champion with other columns is compared, each model on its own columns of the same rows. A column that the examples lack
  makes it incomparable: with missing values in its place, the champion would lose to a model that is worse than it was.
"""

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.model import Training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.verdict import Champion, Check
from tiffin.errors import InputError
from tiffin.quality import metrics
from tiffin.quality.definitions import MAIN
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate.comparison import CODE, compare
from tiffin.stages.evaluate.document import Production
from tiffin.stages.evaluate.incumbent import Incumbent, find_incumbent
from tiffin.stages.evaluate.predictions import answer


def find(
    rule: Production, name: str, serving_root: str, record: Training, manifest: Manifest
) -> tuple[Incumbent | None, tuple[Note, ...]]:
    """Return the model in production, or None with a note on why there is no comparison.

    Args:
        rule: Rule of the gate.
        name: Name of the model; empty if unknown.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT of the environment.
        record: Training record of the new model.
        manifest: Manifest of the examples.

    Raises:
        InputError: The gate asks for an improvement or for non-inferiority, and the model in production is not named.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    if rule.mode == "off":
        return None, (_note("as the gate says (champion.mode: off)"),)
    if not name or not root:
        absent = "model_name" if not name else "serving_root"
        if rule.mode != "not_worse":
            raise InputError(
                f"{absent} should be set for a gate with champion.mode={rule.mode}. Received: {absent}=''. "
                "Set it, or remove the mode from the gate."
            )
        return None, (_note(f"since {absent} is not set"),)
    return find_incumbent(root, name, record, {column.name: column.type for column in manifest.columns}), ()


def _note(why: str) -> Note:
    return Note("CHAMPION_NOT_COMPARED", f"the model is not compared with the one in production, {why}")


def answers(
    incumbent: Incumbent, batch: pa.RecordBatch, record: Training, logical: Mapping[str, str | None]
) -> tuple[Incumbent, np.ndarray | None]:
    """Return the predictions of the model in production; None, and the reason in the incumbent, if it fails."""
    try:
        return incumbent, answer(incumbent.run, batch, record.task, logical)
    except Exception as error:  # noqa: BLE001 - a foreign model fails in any way, which must not fail the run
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        return replace(incumbent, run=None, problem=f"it failed on the rows: {why[:300]}"), None


def check(
    rule: Production, incumbent: Incumbent | None, model: Outcomes, champion: Outcomes | None, seed: str
) -> tuple[Champion | None, list[Check]]:
    """Return the model in production and the check against it; none if it was not looked for."""
    if incumbent is None:
        return None, []
    metric, who = MAIN[model.task], f"model '{incumbent.name}' version {incumbent.version} in production"
    if champion is not None:
        found = compare(rule, model, champion, who, seed)
        values: dict[str, float | None] = metrics.measure(champion)
    elif incumbent.problem:
        found = _incomparable(
            rule, metric, who if incumbent.version else f"model '{incumbent.name}' in production", incumbent
        )
        values = {}
    else:
        reason = f"no model '{incumbent.name}' is in production: the first one is not compared"
        found, values = Check(metric, None, None, True, reason, code=CODE, decided=False), {}
    described = Champion(
        incumbent.name, incumbent.version, champion is not None, found.reason, values, incumbent.data_version
    )
    return described, [found]


def _incomparable(rule: Production, metric: str, who: str, incumbent: Incumbent) -> Check:
    reason = f"{who} cannot be compared: {incumbent.problem}"
    if rule.incomparable == "pass":
        reason += "; the gate lets the model pass (champion.incomparable: pass)"
        return Check(metric, None, None, True, reason, code=CODE, decided=False)
    reason += '; to replace it without a comparison, set gate={"champion": {"incomparable": "pass"}}'
    return Check(metric, None, None, False, reason, code=CODE)
