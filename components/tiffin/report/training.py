"""The section about the training: settings, columns, and the losses of each epoch."""

from collections.abc import Mapping

import altair as alt

from tiffin.artifacts.documents import to_json
from tiffin.artifacts.model import Training
from tiffin.masking import masked
from tiffin.report.data import listing
from tiffin.report.drawing import FAINT, HEIGHT, WIDTH, draw, rows
from tiffin.report.page import Block, Chart, Charts, Text


def describe_training(record: Training, names: Mapping[str, str], name: str) -> list[Block]:
    """Describe a training.

    Args:
        record: Record of the training.
        names: Name of a column in the examples to its name in the data, where they differ.
        name: Start of the names of its charts.
    """
    classes = f", {len(record.classes):,} classes" if record.classes else ""
    blocks: list[Block] = [
        Text(
            f"Predicts {names.get(record.label, record.label)} ({record.task}{classes}) from {len(record.columns):,} columns, "
            f"trained on {record.rows:,} rows."
        )
    ]
    blocks += [Charts([_losses(record, name)])] if record.search or record.losses else []
    settings = [(name, _text(value)) for name, value in to_json(record.settings).items()]
    if record.own:
        settings = [
            ("code", masked(record.own.location)), ("SHA-256 of the code", record.own.digest), ("function", record.own.function),
            ("inputs", record.own.inputs), ("hyperparameters", _text(record.own.hyperparameters)), *settings,
        ]  # fmt: skip
    blocks += listing(("setting", "value"), settings, title="Settings")
    unused = [(names.get(column, column), reason) for column, reason in record.left_out.items()]
    blocks += listing(("column", "why"), unused, title="Columns that are not used", is_folded=len(unused) > 10)
    return blocks


def _text(value: object) -> str:
    return ", ".join(f"{name}: {item}" for name, item in value.items()) if isinstance(value, dict) else str(value)


def _losses(record: Training, name: str) -> Chart:
    x = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1))
    if not record.search:
        data = rows(epoch=range(1, len(record.losses) + 1), loss=record.losses)
        chart = _sized(data).mark_line(point=len(record.losses) < 40)
        drawn = chart.encode(x=x, y=alt.Y("loss:Q", title="training loss", scale=alt.Scale(zero=False)))
        return Chart("Loss of each epoch", draw(drawn, f"{name}-losses"))
    points = [(one.epoch, one.loss, "training") for one in record.search]
    held = [(one.epoch, one.held_out, "held out") for one in record.search if one.held_out is not None]
    epoch, loss, kind = zip(*points, *held, strict=True)
    colour = alt.Color("rows:N", sort=["training", "held out"])
    lines = _sized(rows(epoch=epoch, loss=loss, rows=kind)).mark_line(point=len(points) < 40)
    layers = [lines.encode(x=x, y=alt.Y("loss:Q", title="loss", scale=alt.Scale(zero=False)), color=colour)]
    text = ""
    if held:
        best = min(held, key=lambda one: one[1])[0]
        layers.append(alt.Chart(rows(epoch=[best])).mark_rule(color=FAINT, strokeDash=[4, 4]).encode(x=x))
        text = f"The held-out rows had the lowest loss after {best} {'epoch' if best == 1 else 'epochs'}."
    return Chart("Loss of each epoch", draw(alt.layer(*layers), f"{name}-losses"), text)


def _sized(data: alt.Data) -> alt.Chart:
    return alt.Chart(data, width=WIDTH, height=HEIGHT)
