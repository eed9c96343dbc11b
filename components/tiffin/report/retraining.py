"""The section about retraining: why a model is trained again or not, with which settings, and what was rolled back."""

import json

from tiffin.artifacts.labelled import LabelledRows
from tiffin.artifacts.retraining import Retraining
from tiffin.artifacts.rollback import Rollback
from tiffin.masking import masked
from tiffin.report.data import listing, shortened
from tiffin.report.page import Block, Text


def describe_retraining(found: Retraining) -> list[Block]:
    """Describe the decision whether a model is trained again, and the settings of its training."""
    facts = [
        ("model", f"{found.model} version {found.version} in production"),
        ("decision", found.code),
        ("trigger", found.trigger),
        ("cause", found.cause),
        ("spans", ", ".join(found.spans)),
        ("run", found.run),
        ("state", masked(found.state)),
    ]
    blocks: list[Block] = [Text(found.sentence)]
    blocks += listing(("what", "value"), [fact for fact in facts if fact[1]])
    if found.starts:
        cells = [(name, shortened(masked(_text(value)))) for name, value in sorted(found.settings.items())]
        blocks += listing(("parameter", "value"), cells, title="Settings that differ from the defaults of training")
    return blocks


def describe_labelled(found: LabelledRows) -> list[Block]:
    """Describe the labelled answers that were added to the data; nothing if none were asked for."""
    if not found.start:
        return []
    text = (
        f"{found.rows:,} of {found.answers:,} answers of version {found.version} from {found.start} to {found.end} have a label "
        "and were added to the data."
    )
    return [Text(text)]


def describe_rollback(found: Rollback) -> list[Block]:
    """Describe a rollback."""
    return [Text(f"{found.sentence}. By {found.by} at {found.at}.")]


def _text(value: object) -> str:
    return value.replace("\n", ", ") if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
