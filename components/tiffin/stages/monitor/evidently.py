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
from collections.abc import Callable, Mapping, Sequence
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
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; script-src \'unsafe-inline\' '
    "'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:\">"
)
_HEAD, _BODY = "<head>", "<body>"


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
    notes = [f"{len(_first(now)):,} of {now.rows:,} rows of the window, and {len(_first(before)):,} of {before.rows:,} of "
             "the window before, as current and as reference data. Values with <, > or & have other characters there."]  # fmt: skip
    columns, more = _prepare(now, before)
    if not columns:
        return _page("no data", "warning", "No column has values that can be shown.", [*notes, *more])
    return _framed(_run(columns, has_reference=before.rows > 0), f"{monitoring.model} version {monitoring.version}",
                   [*notes, *more])  # fmt: skip


def _first(sample: Sample) -> list[Any]:
    return next(iter(sample.columns.values()), [])


def _prepare(now: Sample, before: Sample) -> tuple[dict[str, tuple[list[Any], list[Any]]], list[str]]:
    """Return the columns that Evidently can show, by a name without HTML, and notes about the others."""
    lists = set(now.lists) | set(before.lists)
    notes = []
    if now.more:
        notes.append(f"{now.more:,} inputs are left out: {MOST_INPUTS} are shown, drifted and important ones first.")
    if lists:
        notes.append(f"{len(lists):,} columns are left out since they have several values in a row: {_named(lists)}.")
    rows, has_reference = len(_first(before)), before.rows > 0
    found: dict[str, tuple[list[Any], list[Any]]] = {}
    empty, infinite = [], 0
    for name, values in now.columns.items():
        if name in lists:
            continue
        old = before.columns.get(name) or [None] * rows
        sides = [[_finite(value) for value in side] for side in (values, old)]
        infinite += sum(value is not None for value in [*values, *old]) - sum(value is not None for value in sum(sides, []))
        # Evidently fails on a column without values.
        if not any(value is not None for value in sides[0]) or (
            has_reference and not any(value is not None for value in sides[1])
        ):
            empty.append(name)
            continue
        found[_unique(name.translate(_ALIKE), found)] = (sides[0], sides[1])
    if empty:
        notes.append(f"{len(empty):,} columns are left out since they have no values in one of the windows: {_named(empty)}.")
    if infinite:
        notes.append(f"{infinite:,} values that are not finite are shown as missing.")
    return found, notes


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _named(names: Sequence[str] | set[str], most: int = 5) -> str:
    shown = sorted(names)[:most]
    return ", ".join(shown) + (f" and {len(names) - most} more" if len(names) > most else "")


def _unique(name: str, taken: Mapping[str, object]) -> str:
    """Return a name in one line that no other column has."""
    plain = unique = printable(name)
    number = 1
    while unique in taken:
        number += 1
        unique = f"{plain} ({number})"
    return unique


def _run(columns: Mapping[str, tuple[list[Any], list[Any]]], *, has_reference: bool) -> str:
    """Return the page of Evidently."""
    os.environ["DO_NOT_TRACK"] = "1"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its packages, on import too, and of columns with one value
        import pandas as pd
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset, DataSummaryPreset

        numbers = [name for name, sides in columns.items() if all(_is_number(v) for side in sides for v in side)]
        definition = DataDefinition(
            numerical_columns=numbers,
            categorical_columns=[name for name in columns if name not in numbers],
            datetime_columns=[], text_columns=[],
        )  # fmt: skip

        def dataset(side: int) -> Any:
            convert: Callable[[str], Any] = lambda name: (
                pd.Series(columns[name][side], dtype="float64") if name in numbers
                else pd.Series([_text(value) for value in columns[name][side]], dtype="object")
            )  # fmt: skip
            return Dataset.from_pandas(pd.DataFrame({name: convert(name) for name in columns}), data_definition=definition)

        presets = [DataDriftPreset(), DataSummaryPreset()] if has_reference else [DataSummaryPreset()]
        found = Report(presets).run(dataset(0), dataset(1) if has_reference else None)
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder, "report.html")
            found.save_html(str(place))
            return place.read_text()


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _text(value: Any) -> Any:
    return None if value is None else printable(str(value)).translate(_ALIKE)


def _framed(text: str, title: str, notes: Sequence[str]) -> str:
    """Return Evidently's page with a policy that it loads nothing, and with notes above it."""
    lines = "".join(f"<p>{html.escape(printable(note))}</p>" for note in notes)
    head = f"{_HEAD}{_POLICY}<title>{html.escape(printable(title))}</title>"
    notes_block = f'{_BODY}<div style="font: 14px sans-serif; padding: 8px 24px">{lines}</div>'
    return text.replace(_HEAD, head, 1).replace(_BODY, notes_block, 1)
