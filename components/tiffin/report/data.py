"""The sections about the data: where it comes from, the values of each column, and whether it is valid."""

from collections.abc import Mapping, Sequence

from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.anomalies import Anomalies
from tiffin.artifacts.examples import Manifest, Split
from tiffin.artifacts.model import Training
from tiffin.artifacts.numbers import format_share
from tiffin.masking import masked
from tiffin.report.columns import describe_values, draw_values, find_features, kind_of
from tiffin.report.page import Block, Card, Cards, Cell, Table, Text

# Columns with a card. All columns are in the table.
MOST_CARDS = 48
MOST_ROWS = 1000
_LONGEST = 200


def describe_data(
    manifest: Manifest,
    statistics: statistics_pb2.DatasetFeatureStatisticsList | None = None,
    training: Training | None = None,
    important: Sequence[str] = (),
) -> list[Block]:
    """Describe the examples.

    Args:
        manifest: Manifest of the examples.
        statistics: Statistics of each split; None without them.
        training: Record of the training, for the use of each column; None if nothing was trained.
        important: Columns to show first, after the label.
    """
    splits = ", ".join(f"{name} {split.rows:,}" for name, split in _sorted(manifest.splits).items())
    count = len(manifest.columns)
    blocks: list[Block] = [
        Text(f"{manifest.rows:,} rows of {count:,} columns, version {manifest.version}. Rows of each split: {splits}.")
    ]
    if manifest.set_aside.rows:
        blocks.append(Text(f"{manifest.set_aside.rows:,} rows could not be read, and were set aside."))
    sources = [(masked(s.uri), f"{s.size_bytes:,}", s.digest[:12], s.generation or "") for s in manifest.sources]
    blocks += listing(("source", "bytes", "SHA-256", "generation"), sources, "lrll", "Sources", len(sources) > 5)
    made = [(name, expression) for name, expression in manifest.derive.items()]
    blocks += listing(("column", "expression"), made, title="Derived columns", is_folded=len(made) > 10)
    dropped = [(name,) for name in manifest.exclude]
    blocks += listing(("column",), dropped, title="Excluded columns", is_folded=len(dropped) > 10)
    renamed = [(name, new) for name, new in manifest.renamed.items()]
    blocks += listing(("in the data", "in the model"), renamed, title="Renamed columns", is_folded=len(renamed) > 10)
    if statistics is not None:
        blocks += _columns(manifest, statistics, training, important)
    return blocks


def shortened(text: str) -> str:
    """Return a text of the data, cut to 200 characters."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def listing(
    header: Sequence[str],
    cells: Sequence[Sequence[Cell]],
    alignment: str = "",
    title: str = "",
    is_folded: bool = False,
) -> list[Block]:
    """Return a table of at most 1,000 rows, without empty columns, and how many more rows there are; nothing without rows."""
    if not cells:
        return []
    filled = [number for number in range(len(header)) if any(row[number] for row in cells)]
    kept = [[row[number] for number in filled] for row in cells[:MOST_ROWS]]
    sides = alignment or "l" * len(header)
    more = [Text(f"{len(cells) - MOST_ROWS:,} more are not listed.")] if len(cells) > MOST_ROWS else []
    return [Table([header[n] for n in filled], kept, "".join(sides[n] for n in filled), title, is_folded), *more]


def _sorted(splits: Mapping[str, Split]) -> dict[str, Split]:
    """Return the splits with train and eval first."""
    first = [name for name in ("train", "eval") if name in splits]
    return {name: splits[name] for name in (*first, *sorted(set(splits) - set(first)))}


def _columns(
    manifest: Manifest,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    training: Training | None,
    important: Sequence[str],
) -> list[Block]:
    features = find_features(statistics, list(_sorted(manifest.splits)))
    label = [training.label] if training else []
    names = dict.fromkeys([*label, *important, *(column.name for column in manifest.columns)])
    shown = [name for name in names if name in features]
    cards, cells = [], []
    for number, name in enumerate(shown):
        found, title = features[name], manifest.original_name(name)
        about = f"{kind_of(found)}, {use_of(name, training)}" if training else kind_of(found)
        missing = ", ".join(f"{split} {format_share(one.missing)}" for split, one in found.items())
        lines = describe_values(name, found)
        if number < MOST_CARDS:
            cards.append(Card(title, about, (*lines, f"missing: {missing}"), draw_values(found, f"column-{number}")))
        cells.append((title, kind_of(found), use_of(name, training), missing, " · ".join(lines)))
    header = ("column", "type", "use", "missing", "values")
    more = f" The {MOST_CARDS} most important are drawn." if len(shown) > MOST_CARDS else ""
    drawn = [f"{split} {how}" for split, how in zip(_sorted(manifest.splits), ("filled", "as a line"), strict=False)]
    return [
        Text(f"The values of each column, {' and '.join(drawn)}.{more}"),
        Cards(cards),
        *listing(header, cells, "", f"All {len(shown):,} columns", is_folded=True),
    ]


def use_of(name: str, training: Training | None) -> str:
    """Return what the training made of a column."""
    if training is None:
        return ""
    if name == training.label:
        return "the label"
    if name in training.columns:
        return "used"
    return f"not used: {training.left_out[name]}" if name in training.left_out else "not used"


def describe_validation(anomalies: Anomalies, manifest: Manifest | None = None) -> list[Block]:
    """Describe the anomalies of the examples."""
    name = manifest.original_name if manifest else str
    cells = [(a.split, name(a.column), f"{a.summary}. {a.description}", a.code) for a in anomalies.anomalies]
    return [Text(anomalies.reason), *listing(("split", "column", "found", "code"), cells, title="Anomalies")]
