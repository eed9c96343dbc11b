"""KFP declarations of how a run ends: by stopping with a reason, and always with a summary."""

from kfp import dsl
from kfp.dsl import Artifact, Output, PipelineTaskFinalStatus

from tiffin.stages.report.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["stop_run"].image, install_kfp_package=False)
def stop_run(gate: str, reason: str) -> None:
    """Fail the run because a gate did not pass, with the reason in this step's name, parameters and log.

    The gate itself succeeded, so that its reports are kept.

    Args:
        gate: Which gate: validation or evaluation.
        reason: Output of validate_examples or evaluate_model: why it did not pass.
    """
    import sys

    sys.exit(f"error: The {gate} did not pass: {reason}")


@dsl.component(base_image=COMPONENTS["summarize_run"].image, install_kfp_package=False)
def summarize_run(
    status: PipelineTaskFinalStatus,
    summary: Output[Artifact],
    pipeline: str,
) -> None:
    """Write the summary of the run, whether it ended well or not. To be used as the exit task of dsl.ExitHandler.

    Args:
        status: State and error of the steps before; KFP fills it in.
        pipeline: Name of the pipeline.

    Returns:
        summary: summary.json, the run's state with its reason, data version, metrics, verdict, model and address.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.report.summary import summarize

        result = summarize(
            summary.path, summary.uri, "summarize-run", pipeline,
            {"state": status.state, "error_message": status.error_message},
        )  # fmt: skip
        print(f"{pipeline}: {result.state}. {result.reason}")  # noqa: T201 - the step's log
