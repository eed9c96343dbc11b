"""KFP declaration of the notify stage: tell people in the middle of a pipeline."""

from kfp import dsl
from kfp.dsl import Artifact, Input, Output

from tiffin.stages.notify.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["notify_people"].image, install_kfp_package=False)
def notify_people(
    notified: Output[Artifact],
    pipeline: str,
    monitoring: Input[Artifact] = None,
    event: str = "",
    subject: str = "",
    reason: str = "",
    command: str = "",
    link: str = "",
    notify_on: list = [],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    notify_to: list = [],  # type: ignore[type-arg]  # noqa: B006
    run: str = "",
) -> None:
    """Notify people by mail, chat, pager or webhook: of a verdict of monitor_model, or of an event that the pipeline names.

    The exit step summarize_run does the same at the end of a run, and does not repeat what this step has sent. The same event is
    sent once within a day. If a service does not respond, the step prints a warning and succeeds; the message is kept, and the
    next run of the pipeline sends it.

    Args:
        pipeline: Name of the pipeline.
        monitoring: Output of monitor_model: its verdict is the event, with the figures. Optional.
        event: Kind of the event: failure, stopped, degraded, drifted, recovered, promoted, rolled_back, asked or
            waiting_for_approval. Empty for none beside the verdict.
        subject: What the event is about, such as 'taxi version 3'. Empty for the pipeline.
        reason: What happened, with the figures.
        command: Command to run. Empty for none.
        link: Address of a page about it. Empty for the run in the dashboard at TIFFIN_UI.
        notify_on: Kinds of events to send. Empty for all; ['none'] for nothing.
        notify_to: Who is notified: tags of TIFFIN_NOTIFY in the step's environment, or URLs of apprise without secrets. Empty
            for all addresses of TIFFIN_NOTIFY; without these, nothing is sent.
        run: Pipeline run ID. Empty to leave messages without it.

    Returns:
        notified: notified.json, what was sent to whom, and what was not.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.notify.telling import tell

        told = tell(
            notified.path, notified.uri, "notify-people", pipeline, monitoring=monitoring.path if monitoring else "", event=event,
            subject=subject, reason=reason, command=command, link=link, on=notify_on, to=notify_to, run=run,
        )  # fmt: skip
        print(*told, sep="\n")  # noqa: T201 - the step's log
