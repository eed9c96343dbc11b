"""KFP declaration of the report stage: summarize every run."""

from kfp import dsl
from kfp.dsl import Artifact, Markdown, Output, PipelineTaskFinalStatus

from tiffin.stages.report.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["summarize_run"].image, install_kfp_package=False)
def summarize_run(
    status: PipelineTaskFinalStatus,
    summary: Output[Artifact],
    report: Output[Markdown],
    pipeline: str,
) -> None:
    """Write the summary of a run, whether it succeeded or failed. Use it as the exit task of dsl.ExitHandler.

    Args:
        status: State and error message of the run, set by KFP.
        pipeline: Name of the pipeline.

    Returns:
        summary: summary.json, the run's state and reason, data version, metrics, verdict, model version,
            serving address and notes.
        report: report.md, the same for people: how the run ended, the metrics, and what its steps dropped, converted or chose.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.report.report import write_report
        from tiffin.stages.report.summary import log_lines, summarize

        result = summarize(
            summary.path, summary.uri, "summarize-run", pipeline,
            {"state": status.state, "error_message": status.error_message},
        )  # fmt: skip
        # KFP's paths have no extension; viewers of files need one.
        report.path = f"{report.path}.md"
        write_report(report.path, result)
        print(*log_lines(result), sep="\n")  # noqa: T201 - the step's log
