"""The section about the metrics of a model: with intervals, curves, and the confusion of classes."""

from collections.abc import Sequence

import altair as alt

from tiffin.artifacts.measures import Interval
from tiffin.artifacts.verdict import Evaluation
from tiffin.report.data import listing
from tiffin.report.drawing import FAINT, HEIGHT, INK, PAPER, SERIES, WIDTH, choose, draw, labels, rows
from tiffin.report.page import Block, Chart, Charts, Table, Text

# Classes of a confusion matrix that is drawn; of more, the most frequent confusions are listed.
_MOST_CLASSES = 20
_MOST_CONFUSIONS = 20
_SHARE = alt.Scale(domain=[0, 1])
_PERCENT = alt.Axis(format="%")


def metric(value: float | None) -> str:
    """Return a metric in four digits."""
    return "not measured" if value is None else f"{value:.4g}"


def interval(found: Interval | None) -> str:
    """Return the ends of an interval."""
    return f"{found.low:.4g} to {found.high:.4g}" if found else ""


def describe_quality(evaluation: Evaluation, name: str) -> list[Block]:
    """Describe the metrics.

    Args:
        evaluation: Evaluation of a model.
        name: Start of the names of its charts.
    """
    one = evaluation
    blocks: list[Block] = [
        Text(f"Measured on the {one.rows:,} rows of {one.split}. Intervals hold the metric with 95 % confidence.")
    ]
    blocks.append(_metrics(one))
    charts = [*_curves(one, name), *_calibration(one, name), *_confusion(one, name), *_errors(one, name)]
    blocks += [Charts(charts)] if charts else []
    if one.classes and one.confusion and len(one.classes) > _MOST_CLASSES:
        blocks += _confusions(one.classes, one.confusion)
    recalls = [(r.name, f"{r.rows:,}", metric(r.recall), interval(r.interval)) for r in one.per_class or ()]
    blocks += listing(
        ("class", "rows", "recall", "95 % interval"), recalls, "lrrl", "Recall of each class", len(recalls) > 12
    )
    return blocks


def _metrics(one: Evaluation) -> Table:
    compared = one.champion.metrics if one.champion and one.champion.compared else {}
    names = [name for name in one.metrics if not name.startswith("baseline_")]
    header, alignment = ["metric", "value", "95 % interval", "guessing"], "lrlr"
    cells = [
        [name, metric(one.metrics[name]), interval((one.intervals or {}).get(name)),
         metric(one.metrics[f"baseline_{name}"]) if f"baseline_{name}" in one.metrics else ""]
        for name in names
    ]  # fmt: skip
    if compared and one.champion:
        header.append(f"in production (version {one.champion.version})")
        alignment += "r"
        for row, name in zip(cells, names, strict=True):
            row.append(metric(compared.get(name)))
    return Table(header, cells, alignment)


def _curves(one: Evaluation, name: str) -> list[Chart]:
    found = []
    if one.curve and one.curve.fpr:
        diagonal = _diagonal([0, 1], "guessing")
        line = _line(rows(x=one.curve.fpr, y=one.curve.tpr), "false positive rate", "true positive rate")
        svg = draw(alt.layer(diagonal, line), f"{name}-roc")
        text = f"Area {metric(one.metrics.get('auc'))}. The dashed line is guessing, with an area of 0.5."
        found.append(Chart("ROC curve", svg, text))
    if one.precision_recall and one.precision_recall.recall:
        curve = one.precision_recall
        svg = draw(_line(rows(x=curve.recall, y=curve.precision), "recall", "precision"), f"{name}-pr")
        text = f"Average precision {metric(one.metrics.get('average_precision'))}."
        found.append(Chart("Precision and recall", svg, text))
    return found


def _line(data: alt.Data, x: str, y: str) -> alt.Chart:
    # Points in the order of the curve, not sorted by x.
    return (
        alt.Chart(data, width=WIDTH, height=HEIGHT)
        .mark_line(description=f"{y} by {x}")
        .encode(
            x=alt.X("x:Q", title=x, scale=_SHARE), y=alt.Y("y:Q", title=y, scale=_SHARE), order=alt.OrderValue(None)
        )
    )


def _diagonal(ends: Sequence[float], what: str) -> alt.Chart:
    """Return a dashed line on which x and y are equal, and what that means."""
    line = alt.Chart(rows(x=ends, y=ends)).mark_line(color=FAINT, strokeDash=[4, 4], strokeWidth=1, description=what)
    return line.encode(x=alt.X("x:Q"), y=alt.Y("y:Q"))


def _calibration(one: Evaluation, name: str) -> list[Chart]:
    curve = one.calibration
    if not curve or not curve.rows:
        return []
    of_numbers = one.task == "regression"
    scale = alt.Scale(zero=False) if of_numbers else _SHARE
    what = ("mean prediction", "mean label") if of_numbers else ("predicted probability", "observed share")
    ends = [min(*curve.predicted, *curve.observed), max(*curve.predicted, *curve.observed)] if of_numbers else [0, 1]
    data = rows(x=curve.predicted, y=curve.observed, rows=curve.rows)
    points = (
        alt.Chart(data, width=WIDTH, height=HEIGHT)
        .mark_line(point=alt.OverlayMarkDef(filled=True, size=40))
        .encode(x=alt.X("x:Q", title=what[0], scale=scale), y=alt.Y("y:Q", title=what[1], scale=scale))
    )
    text = f"Each point is a tenth of the rows, by {what[0]}. On the dashed line, they are right on average."
    if "calibration_error" in one.metrics:
        text += f" Calibration error {metric(one.metrics['calibration_error'])}."
    chart = alt.layer(_diagonal(ends, "right on average"), points)
    return [Chart("Calibration", draw(chart, f"{name}-calibration"), text)]


def _confusion(one: Evaluation, name: str) -> list[Chart]:
    if not one.classes or not one.confusion or len(one.classes) > _MOST_CLASSES:
        return []
    names = labels(list(one.classes))
    cells = [
        (truth, found, count, count / max(1, sum(line)))
        for truth, line in zip(names, one.confusion, strict=True)
        for found, count in zip(names, line, strict=True)
    ]
    truth, found, count, share = zip(*cells, strict=True)
    base = alt.Chart(rows(truth=truth, found=found, rows=count, share=share), width=WIDTH, height=HEIGHT).encode(
        x=alt.X(
            "found:N",
            title="predicted class",
            sort=None,
            axis=alt.Axis(orient="top", labelAngle=0 if len(names) < 6 else -45),
        ),
        y=alt.Y("truth:N", title="true class", sort=None),
    )
    shade = base.mark_rect(fill=SERIES[0]).encode(
        opacity=alt.Opacity("share:Q", scale=alt.Scale(domain=[0, 1], range=[0.06, 1]), legend=None),
    )
    layers = [shade]
    if len(names) <= 8:
        ink = choose("datum.share > 0.5", PAPER, INK)
        layers.append(base.mark_text().encode(text=alt.Text("rows:Q", format=","), color=ink))
    return [
        Chart(
            "Confusion",
            draw(alt.layer(*layers), f"{name}-confusion"),
            "Rows of each true class; darker is a larger share of it.",
        )
    ]


def _confusions(classes: Sequence[str], matrix: Sequence[Sequence[int]]) -> list[Block]:
    """Return the table of the most frequent confusions."""
    wrong = [
        (count, truth, found)
        for truth, line in enumerate(matrix)
        for found, count in enumerate(line)
        if truth != found and count
    ]
    largest = sorted(wrong, key=lambda item: (-item[0], item[1], item[2]))[:_MOST_CONFUSIONS]
    cells = [
        (classes[truth], classes[found], f"{count:,}", f"{sum(matrix[truth]):,}") for count, truth, found in largest
    ]
    more = (
        [Text(f"{len(wrong) - len(largest):,} other pairs of classes are confused less often.")]
        if len(wrong) > len(largest)
        else []
    )
    header = ("true class", "predicted class", "rows", "rows of the true class")
    return [*listing(header, cells, "llrr", "Most frequent confusions"), *more]


def _errors(one: Evaluation, name: str) -> list[Chart]:
    if not one.errors or len(one.errors.edges) < 2:
        return []
    edges = one.errors.edges
    chart = (
        alt.Chart(rows(low=edges[:-1], high=edges[1:], rows=one.errors.rows), width=WIDTH, height=HEIGHT)
        .mark_bar()
        .encode(
            x=alt.X("low:Q", title="prediction minus label", scale=alt.Scale(zero=False)),
            x2=alt.X2("high"),
            y=alt.Y("rows:Q"),
        )
    )
    text = "Errors of the rows, without the lowest and the highest 0.5 %."
    return [Chart("Errors", draw(chart, f"{name}-errors"), text)]
