"""A report of Evidently beside the own one: the window, and the window before, in bounded samples.

Evidently is imported only if its report is asked for, which takes seconds. It would send its use to its makers, which is
turned off. Its page has scripts, but a policy that lets it load nothing; it writes texts of the data into a script as they are,
so that `<`, `>` and `&` are replaced in them.
"""

import html
import math
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tiffin.artifacts.monitoring import Monitoring
from tiffin.printing import printable
from tiffin.report.page import Page, Section, Text, Tone, render
from tiffin.serving.prediction_log import resolve_log_root
from tiffin.stages.monitor.samples import MOST_ROWS, Sample, sample_rows
from tiffin.stages.monitor.windows import Window
from tiffin.storage.files import write_bytes

MOST_INPUTS = 40
_TITLE = "Evidently"
_HOW = (
    "Set the parameter evidently to True for a report of Evidently: the window beside the window before, up to "
    f"{MOST_ROWS:,} rows of each."
)
# Look like the characters that they replace, and mean nothing in HTML.
_ALIKE = str.maketrans({"<": "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}", "&": "\N{FULLWIDTH AMPERSAND}",
                        ">": "\N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"})  # fmt: skip
_POLICY = (
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; script-src 'unsafe-inline' "
    "'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:\">"
)
_HEAD, _BODY = "<head>", "<body>"
# The values of a column in the window, and in the window before.
_Sides = tuple[list[Any], list[Any]]


def write_evidently(path: str | Path, monitoring: Monitoring, log_root: str, *, is_wanted: bool) -> None:
    """Write a report of Evidently as an HTML file, or a page with the reason why there is none.

    Args:
        path: Path of the file.
        monitoring: Monitoring of a version.
        log_root: Root of the prediction log.
        is_wanted: Whether the report is asked for; if not, the page tells how.
    """
    if not is_wanted:
        write_bytes(path, _page("not asked for", "muted", _HOW).encode())
        return
    try:
        text = _describe(monitoring, resolve_log_root(log_root))
    except Exception as error:  # noqa: BLE001 - a second report must not fail the step
        lines = str(error).strip().split("\n")
        text = _page("failed", "bad", f"Evidently failed: {type(error).__name__}: {lines[0]}")
    write_bytes(path, text.encode())


def _page(state: str, tone: Tone, reason: str, notes: Sequence[str] = ()) -> str:
    sections = [Section("Notes", [Text(note) for note in notes])] if notes else []
    return render(Page(title=_TITLE, state=state, tone=tone, reason=reason, sections=sections))


def _describe(monitoring: Monitoring, root: str) -> str:
    span = Window(datetime.fromisoformat(monitoring.start), datetime.fromisoformat(monitoring.end))
    first = [one.column for one in monitoring.skew.columns] if monitoring.skew else []
    now, before = (
        sample_rows(root, monitoring.model, monitoring.version, window, first, MOST_INPUTS)
        for window in (span, span.before)
    )
    if not now.rows:
        return _page("no data", "warning", "The window has no answers of the version.")
    columns, notes = _prepare(now, before)
    if not columns:
        return _page("no data", "warning", "No column has values that can be shown.", notes)
    text = _run(columns, has_reference=before.rows > 0)
    return _framed(text, f"{monitoring.model} version {monitoring.version}", notes)


def _prepare(now: Sample, before: Sample) -> tuple[dict[str, _Sides], list[str]]:
    """Return the columns that Evidently can show, by a name without HTML, and notes about what is left out or replaced."""
    lists = sorted({*now.lists, *before.lists})
    found: dict[str, _Sides] = {}
    empty, infinite, replaced = [], 0, 0
    for name in now.columns:
        if name in lists:
            continue
        raw = (now.columns[name], before.columns.get(name, [None] * before.sampled))
        sides = _plain(raw[0]), _plain(raw[1])
        # Evidently fails on a column without values.
        if any(sampled and not _count(side) for sampled, side in zip((True, before.rows), sides, strict=True)):
            empty.append(name)
            continue
        infinite += _count(raw[0]) + _count(raw[1]) - _count(sides[0]) - _count(sides[1])
        replaced += sum(isinstance(value, str) and value != _text(value) for value in (*raw[0], *raw[1]))
        found[_unique(_text(name), found)] = sides
    told = [
        (True, f"{now.sampled:,} of {now.rows:,} rows of the window as current data, and {before.sampled:,} of "
               f"{before.rows:,} rows of the window before as reference data."),
        (now.more, f"Inputs beyond {MOST_INPUTS}, which are left out: {now.more:,}. Drifted and important ones come first."),
        (lists, f"Columns left out for several values in a row: {_named(lists)}."),
        (empty, f"Columns left out for no values in one of the windows: {_named(empty)}."),
        (infinite, f"Values that are not finite, shown as missing: {infinite:,}."),
        (replaced, f"Values with control characters, <, > or &, which are replaced: {replaced:,}."),
    ]  # fmt: skip
    return found, [text for holds, text in told if holds]


def _plain(values: Sequence[Any]) -> list[Any]:
    """Return values with missing ones in place of those that are not finite."""
    return [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]


def _count(values: Sequence[Any]) -> int:
    return sum(value is not None for value in values)


def _named(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _text(value: object) -> str:
    return printable(value).translate(_ALIKE)


def _unique(name: str, taken: Mapping[str, object]) -> str:
    """Return a name that no other column has."""
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name} ({number})"
    return unique


def _run(columns: Mapping[str, _Sides], *, has_reference: bool) -> str:
    """Return the page of Evidently."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        # Of its packages, on import too, and of columns with one value.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset, DataSummaryPreset

        numbers = [name for name, sides in columns.items() if all(map(_is_number, (*sides[0], *sides[1])))]
        # Without this, Evidently takes texts with many values as prose, and counts its words.
        definition = DataDefinition(
            numerical_columns=numbers, categorical_columns=[name for name in columns if name not in numbers],
            datetime_columns=[], text_columns=[],
        )  # fmt: skip
        current, reference = (
            Dataset.from_pandas(_frame(columns, number, numbers), data_definition=definition) for number in (0, 1)
        )
        presets = [DataDriftPreset(), DataSummaryPreset()] if has_reference else [DataSummaryPreset()]
        found = Report(presets).run(current, reference if has_reference else None)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "report.html")
            found.save_html(str(place))
            return place.read_text()


def _frame(columns: Mapping[str, _Sides], number: int, numbers: Sequence[str]) -> Any:
    """Return one side of the columns as a DataFrame of numbers and texts."""
    import pandas as pd

    found = {}
    for name, sides in columns.items():
        values = sides[number]
        texts = values if name in numbers else [None if value is None else _text(value) for value in values]
        found[name] = pd.Series(texts, dtype="float64" if name in numbers else "object")
    return pd.DataFrame(found)


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _framed(text: str, title: str, notes: Sequence[str]) -> str:
    """Return Evidently's page with a policy that it loads nothing, and with notes above it."""
    lines = "".join(f"<p>{html.escape(printable(note))}</p>" for note in notes)
    head = f"{_HEAD}{_POLICY}<title>{html.escape(printable(title))}</title>"
    notes_block = f'{_BODY}<div style="font: 14px sans-serif; padding: 8px 24px">{lines}</div>'
    return text.replace(_HEAD, head, 1).replace(_BODY, notes_block, 1)
