"""KFP declarations of the monitor stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import HTML, Artifact, Dataset, Input, Output

from tiffin.stages.monitor.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["monitor_model"].image, install_kfp_package=False)
def monitor_model(
    reference: Input[Artifact],
    monitoring: Output[Artifact],
    report: Output[HTML],
    evidently_report: Output[HTML],
    log_root: str = "",
    window: str = "24h",
    state: str = "",
    thresholds: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    level: float = 0.005,
    max_error_share: float = 0.01,
    max_p99_seconds: float = 0.0,
    labels: str = "",
    label_columns: dict = {},  # type: ignore[type-arg]  # noqa: B006
    corrections: str = "last",
    tolerance_hours: float = 720.0,
    clock_skew_seconds: float = 300.0,
    slices: list = [],  # type: ignore[type-arg]  # noqa: B006
    performance_window: str = "",
    evidently: bool = False,
) -> NamedTuple("Monitored", [("verdict", str), ("healthy", bool), ("reason", str), ("cause", str)]):  # type: ignore[valid-type]
    """Monitor a model in production by its prediction log: traffic, data, predictions, quality, and a verdict.

    The quality is measured with labels where these have arrived, and estimated without.

    A verdict other than healthy does not fail the step: branch on the output healthy. Each file of the log is counted once,
    also if the step is killed and runs again; files that come late are added to their hour.

    Args:
        reference: Output of find_reference: the version, and what it is compared with.
        log_root: Path or URI of the prediction log. Empty for TIFFIN_LOG_ROOT of the step's environment.
        window: Time that is monitored, up to now in full hours of UTC: 24h, 7d or 2w. last for the time since the last run.
        state: Path or URI that keeps what was counted of each hour. Empty for the prediction log's own folder.
        thresholds: What inputs and predictions may differ by, as in compare_examples, such as {"wasserstein": 0.2} or
            {"km": {"jensen_shannon": 0.05}}.
        level: Share of false discoveries among the distances that drift, above 0 and below 1.
        max_error_share: Share of failed requests that is allowed, from 0 to 1.
        max_p99_seconds: 99th percentile of the latency that is allowed, in seconds. 0 for any.
        labels: CSV or Parquet file, folder, glob or URI of labels, or a query that starts with SELECT, which runs on the database
            at TIFFIN_LABELS_URL. Columns: request_id or key, label, and optional row and time. Empty for none.
        label_columns: Names of these columns where they are others, such as {"label": "late", "key": "order"}.
        corrections: Rule for several labels of an answer: last, first, or refuse to leave such answers out.
        tolerance_hours: Longest time from an answer to its label, if labels are joined by key and time.
        clock_skew_seconds: Longest time from a label to its answer, if labels are joined by key and time: clocks differ.
        slices: Inputs, or pairs of inputs, whose groups are also measured, such as ["city", ["city", "day"]].
        performance_window: Time whose answers are measured and estimated, such as 7d if labels take days. Empty for window.
        evidently: Whether to write a report of Evidently too, of a sample of the window and of the window before.

    Returns:
        monitoring: monitoring.json, traffic by version and route, anomalies, every distance, the verdict and its reasons.
        report: report.html, for people: the verdict, why, and what to do; then traffic, data, predictions and quality over time.
            It has no scripts and loads nothing.
        evidently_report: evidently_report.html, Evidently's report; without evidently, a page that tells how to get it.
        verdict: healthy, degraded, drifted or no_data.
        healthy: Whether the verdict is healthy.
        reason: Reason for the verdict, in one line, with what to do.
        cause: Codes of the findings that decide the verdict, with their columns, such as CONCEPT_DRIFT DATA_DRIFT:zone.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.monitor.monitoring import monitor
        from tiffin.stages.monitor.performance import make_labels
        from tiffin.stages.monitor.reporting import write_reports

        found = monitor(
            reference.path, monitoring.path, log_root=log_root, window=window, state=state, thresholds=thresholds,
            level=level, max_error_share=max_error_share, max_p99_seconds=max_p99_seconds,
            labels=make_labels(labels, label_columns, corrections, tolerance_hours, clock_skew_seconds, slices),
            performance_window=performance_window,
        )  # fmt: skip
        # KFP's paths have no extension; viewers of files need one.
        report.path, evidently_report.path = f"{report.path}.html", f"{evidently_report.path}.html"
        write_reports(report.path, evidently_report.path, found, log_root, evidently=evidently)
        print(printable(f"{found.model} version {found.version}: {found.verdict}. {found.reason}"))  # noqa: T201 - the step's log
        return found.verdict, found.is_healthy, f"{found.reason} {found.action}", found.cause


@dsl.component(base_image=COMPONENTS["collect_labelled"].image, install_kfp_package=False)
def collect_labelled(
    reference: Input[Artifact],
    labelled: Output[Dataset],
    window: str = "",
    labels: str = "",
    label_columns: dict = {},  # type: ignore[type-arg]  # noqa: B006
    corrections: str = "last",
    tolerance_hours: float = 720.0,
    clock_skew_seconds: float = 300.0,
    log_root: str = "",
) -> int:
    """Collect answers of the prediction log whose labels have arrived, as rows that a training reads beside its data.

    The rows have the columns of the data that the version was trained on. Columns that the model is not given are missing in
    them. A model with derived columns has no such rows, since the log has no columns to derive from; the notes tell it.

    Args:
        reference: Output of find_reference: the version, and the columns of its data.
        window: Time of the answers, up to now in full hours of UTC: 24h, 7d or 2w. Empty for no rows.
        labels: Labels, as for monitor_model. Empty for no rows.
        label_columns: Names of their columns, as for monitor_model.
        corrections: Rule for several labels of an answer: last, first, or refuse to leave such answers out.
        tolerance_hours: Longest time from an answer to its label, if labels are joined by key and time.
        clock_skew_seconds: Longest time from a label to its answer, if labels are joined by key and time: clocks differ.
        log_root: Path or URI of the prediction log. Empty for TIFFIN_LOG_ROOT of the step's environment.

    Returns:
        labelled: labelled.json, the counts; and labelled.parquet, the rows, if there are any.
        Output: Number of rows.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.monitor.labelled import collect
        from tiffin.stages.monitor.performance import make_labels

        joined = make_labels(labels, label_columns, corrections, tolerance_hours, clock_skew_seconds, [])
        found = collect(reference.path, labelled.path, joined, window=window, log_root=log_root)
        print(printable(f"{found.rows} of {found.answers} answers have a label"))  # noqa: T201 - the step's log
        for note in found.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        return found.rows
