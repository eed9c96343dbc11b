"""Model cards, in Markdown and as a page: what a model is, what it was trained on, and how well it does for whom.

After Mitchell et al., "Model Cards for Model Reporting", 2019, with what a run knows. Intended use is for people to add.
"""

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.markdown import code, escape, table
from tiffin.artifacts.model import Training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.summary import Step, Summary
from tiffin.artifacts.verdict import Evaluation
from tiffin.masking import masked
from tiffin.report import page
from tiffin.report.page import Page
from tiffin.report.quality import interval, metric
from tiffin.storage.files import write_bytes

_MOST_GROUPS = 10
_MOST_COLUMNS = 10
_MOST_CLASSES = 20


def write_card(markdown: str | Path, html: str | Path, summary: Summary) -> None:
    """Write the model card of a run as Markdown and as an HTML page; of a run with several models, one after the other."""
    text = describe_card(summary)
    write_bytes(markdown, text.encode())
    # Without HTML in Markdown, which texts of users could have.
    content = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    whole = Page(summary.pipeline, summary.state, page.tone_of(summary.state), "", content=content)
    write_bytes(html, page.render(whole).encode())


def describe_card(summary: Summary) -> str:
    """Return the model card of a run in Markdown."""
    steps = list(summary.steps.values())
    evaluated = [step.evaluation for step in steps if step.evaluation]
    if not evaluated:
        return "# Model card\n\nThis run evaluated no model.\n"
    trained = [step.model for step in steps if step.model]
    manifest = next((step.examples for step in reversed(steps) if step.examples), None)
    lines: list[str] = []
    for number, evaluation in enumerate(evaluated):
        # Steps are sorted by name: the second training belongs to the second evaluation.
        record = trained[min(number, len(trained) - 1)] if trained else None
        lines += _card(summary, steps, record, evaluation, manifest)
    return "\n".join(lines).strip() + "\n"


def _card(
    summary: Summary, steps: Sequence[Step], record: Training | None, evaluation: Evaluation, manifest: Manifest | None
) -> list[str]:
    model, champion = summary.model, evaluation.champion
    name = model.name if model else champion.model if champion else ""
    title = escape(f"{name} version {model.version}" if model else name or summary.pipeline)
    lines = [f"# Model card: {title}", ""]
    if record:
        label = manifest.original_name(record.label) if manifest else record.label
        of = f": {', '.join(record.classes[:_MOST_CLASSES])}" if record.classes else ""
        more = f" and {len(record.classes) - _MOST_CLASSES} more" if len(record.classes) > _MOST_CLASSES else ""
        what = f"{escape(label)} ({record.task}{escape(of + more)})"
        lines += [f"Predicts {what} from {len(record.columns)} columns.", ""]
    lines += ["## Model", "", *table(("what", "value"), _details(summary, steps, record, evaluation)), ""]
    lines += _data(manifest, record)
    lines += [f"## Metrics on {evaluation.rows:,} rows of {escape(evaluation.split)}", ""]
    values = [
        (code(each), metric(value), interval((evaluation.intervals or {}).get(each)))
        for each, value in evaluation.metrics.items()
    ]
    lines += [*table(("metric", "value", "95 % interval"), values, "lrl"), ""]
    passed = "passed" if evaluation.passed else "did not pass"
    lines += ["## Gate", "", f"The model {passed} the gate: {escape(evaluation.reason)}", ""]
    if champion and champion.reason not in evaluation.reason:
        lines += [f"In production: {escape(champion.reason)}.", ""]
    lines += _groups(evaluation)
    lines += _explanation(evaluation, manifest)
    lines += _limits([*(record.notes if record else ()), *evaluation.notes], record)
    return [*lines, *_use(name, record, manifest)]


def _details(
    summary: Summary, steps: Sequence[Step], record: Training | None, evaluation: Evaluation
) -> list[tuple[str, str]]:
    registered = [step.registration for step in steps if step.registration]
    facts: list[tuple[str, object]] = [
        ("data version", evaluation.data_version),
        ("schema", record and record.schema_digest),
        ("verdict", evaluation.verdict_digest),
        ("MLflow run", registered[-1].run_id if registered else None),
        ("served at", summary.serving),
        ("Tiffin", record.tiffin_version if record else evaluation.tiffin_version),
    ]
    if record:
        s = record.settings
        network = f"layers of {', '.join(map(str, s.hidden_units))} units" if s.hidden_units else "linear"
        built = (
            f"{record.own.function} of {masked(record.own.location)}, SHA-256 {record.own.digest[:12]}"
            if record.own
            else network
        )
        facts += [
            ("network", built),
            (
                "training",
                f"{s.epochs} epochs, batches of {s.batch_size} rows, learning rate {s.learning_rate:g}, seed {s.seed}",
            ),
        ]
    return [(name, escape(str(value))) for name, value in facts if value]


def _data(manifest: Manifest | None, record: Training | None) -> list[str]:
    if manifest is None:
        return []
    splits = ", ".join(f"{name} {split.rows:,}" for name, split in sorted(manifest.splits.items()))
    sources = ", ".join(masked(source.uri) for source in manifest.sources[:5])
    more = f" and {len(manifest.sources) - 5} more files" if len(manifest.sources) > 5 else ""
    facts = [
        ("sources", sources + more),
        ("rows", f"{manifest.rows:,}: {splits}"),
        ("rows set aside", f"{manifest.set_aside.rows:,}" if manifest.set_aside.rows else ""),
        ("rows without a label", f"{record.rows_without_label:,}" if record and record.rows_without_label else ""),
        ("derived", ", ".join(f"{name} = {expression}" for name, expression in manifest.derive.items())),
        ("excluded", ", ".join(manifest.exclude)),
    ]
    return ["## Data", "", *table(("what", "value"), [(name, escape(value)) for name, value in facts if value]), ""]


def _groups(evaluation: Evaluation) -> list[str]:
    lines = ["## Groups", ""]
    if not evaluation.slices and not evaluation.fairness:
        return [*lines, "No groups of rows were compared.", ""]
    names = list(dict.fromkeys(name for one in evaluation.slices for name in one.metrics))[:4]
    cells = [
        (escape(one.value), f"{one.rows:,}", *(metric(one.metrics.get(name)) for name in names))
        for one in evaluation.slices[:_MOST_GROUPS]
    ]
    if cells:
        lines += [*table(("slice", "rows", *map(code, names)), cells, "lr" + "r" * len(names)), ""]
    if len(evaluation.slices) > _MOST_GROUPS:
        lines += [f"{len(evaluation.slices) - _MOST_GROUPS} more slices are in the report.", ""]
    measures = [
        (escape(one.column), code(name), metric(value), interval(one.intervals.get(name)))
        for one in evaluation.fairness
        for name, value in one.measures.items()
    ]
    if measures:
        lines += [*table(("sensitive column", "measure", "value", "95 % interval"), measures, "llrl"), ""]
    return lines


def _explanation(evaluation: Evaluation, manifest: Manifest | None) -> list[str]:
    found = evaluation.attributions
    if not found or not found.columns:
        return []
    original = manifest.original_name if manifest else str
    cells = [(escape(original(one.column)), metric(one.mean_absolute)) for one in found.columns[:_MOST_COLUMNS]]
    about = f"Mean sizes of the contributions in {found.rows:,} rows."
    return ["## What the predictions depend on", "", about, "", *table(("column", "size"), cells, "lr"), ""]


def _limits(notes: Sequence[Note], record: Training | None) -> list[str]:
    found = [f"- {escape(note.text)}" for note in notes]
    if record and record.left_out:
        named = ", ".join(f"{name} ({reason})" for name, reason in list(record.left_out.items())[:_MOST_COLUMNS])
        more = f" and {len(record.left_out) - _MOST_COLUMNS} more" if len(record.left_out) > _MOST_COLUMNS else ""
        found.append(f"- columns that are not used: {escape(named + more)}")
    return ["## Limits", "", *(found or ["None are known."]), ""]


def _use(name: str, record: Training | None, manifest: Manifest | None) -> list[str]:
    if record is None or manifest is None or not name:
        return []
    kinds = {column.name: column.logical or column.type.lower() for column in manifest.columns}
    cells = [(escape(manifest.original_name(each)), kinds.get(each, "")) for each in record.columns]
    return [
        "## Use", "", f"`tiffin predict FILE --model {name}` takes rows of the source, with these columns:", "",
        *table(("column", "type"), cells), "",
    ]  # fmt: skip
