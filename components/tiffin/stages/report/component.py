"""KFP declaration of the report stage: summarize every run."""

from kfp import dsl
from kfp.dsl import HTML, Artifact, Markdown, Output, PipelineTaskFinalStatus

from tiffin.stages.report.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["summarize_run"].image, install_kfp_package=False)
def summarize_run(
    status: PipelineTaskFinalStatus,
    summary: Output[Artifact],
    report: Output[HTML],
    card: Output[Markdown],
    card_page: Output[HTML],
    pipeline: str,
    tracking_uri: str = "",
    run: str = "",
    notify_on: list = [],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    notify_to: list = [],  # type: ignore[type-arg]  # noqa: B006
) -> None:
    """Write the summary and the report of a run, whether it succeeded or failed. Use it as the exit task of dsl.ExitHandler.

    The report and the model card are made of what the steps of the run wrote to its artifact store. Both are also logged to
    MLflow, to the folder report of the runs that register_model and stop_run created. Verdicts of monitor_model are logged as
    metrics and tags of the version; they are kept until MLflow has them. If MLflow does not respond, the step prints a warning
    and succeeds.

    Args:
        status: State and error message of the run, set by KFP.
        pipeline: Name of the pipeline.
        tracking_uri: MLflow tracking URI, as for register_model. Empty for MLFLOW_TRACKING_URI of the step's environment.
        run: Pipeline run ID, as for stop_run. Empty to leave the summary without it, and the MLflow run of a stopped run
            without a report.
        notify_on: Kinds of events of which people are notified: failure, stopped, degraded, drifted, recovered, promoted,
            rolled_back, asked, waiting_for_approval. Empty for all; ['none'] for nothing.
        notify_to: Who is notified: tags of TIFFIN_NOTIFY in the step's environment, or URLs of apprise without secrets. Empty
            for all addresses of TIFFIN_NOTIFY; without these, nobody is notified.

    Returns:
        summary: summary.json, the run's ID, state and reason, data version, metrics, verdict, model version,
            serving address, notes, and who was notified of what.
        report: report.html, for people: how the run ended, gate, metrics with curves, slices, fairness, explanation, training,
            validation, data, and what the steps dropped, converted or chose. It has no scripts and loads nothing.
        card: card.md, the model card.
        card_page: card.html, the model card as a page.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.report.notifications import notify_of_run
        from tiffin.stages.report.outcomes import send_outcomes
        from tiffin.stages.report.publication import publish
        from tiffin.stages.report.reporting import write_reports
        from tiffin.stages.report.retrainings import end_retrainings
        from tiffin.stages.report.summary import log_lines, summarize

        result = summarize(
            summary.path, summary.uri, "summarize-run", pipeline,
            {"state": status.state, "error_message": status.error_message}, run,
        )  # fmt: skip
        end_retrainings(result)
        result = notify_of_run(summary.path, summary.uri, "summarize-run", result, notify_on, notify_to)
        # KFP's paths have no extension; viewers of files need one.
        report.path, card.path = f"{report.path}.html", f"{card.path}.md"
        card_page.path = card.path.removesuffix(".md") + ".html"
        write_reports(report.path, card.path, card_page.path, summary.uri, "summarize-run", result)
        print(*log_lines(result), sep="\n")  # noqa: T201 - the step's log
        publish(result, [report.path, card.path, card_page.path], tracking_uri, run)
        send_outcomes([*result.monitorings.values()], tracking_uri)
