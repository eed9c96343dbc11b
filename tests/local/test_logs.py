"""What kfp.local prints and logs, where tasks overlap."""

import builtins
import logging

from kfp.local import logging_utils, pipeline_orchestrator, task_dispatcher

from tiffin.local.logs import shared_logger


def overlap() -> None:
    """Begin two tasks and end the first first, as threads do."""
    for context in (logging_utils.local_logger_context, logging_utils.indented_print):
        tasks = [context(), context()]
        for task in tasks:
            task.__enter__()
        for task in tasks:
            task.__exit__(None, None, None)


def test_overlapping_tasks_leave_print_and_the_logger_as_they_were() -> None:
    before = builtins.print, logging.getLogger().handlers[:], logging.getLogger().level
    contexts = logging_utils.local_logger_context, logging_utils.indented_print

    with shared_logger():
        overlap()
        assert builtins.print is before[0]

    assert (builtins.print, logging.getLogger().handlers, logging.getLogger().level) == before
    assert (logging_utils.local_logger_context, logging_utils.indented_print) == contexts


def test_tasks_log_to_the_standard_output_of_the_blocks_start(capsys) -> None:
    with shared_logger(), logging_utils.local_logger_context():
        logging.info("read-text")

    assert capsys.readouterr().out.endswith("read-text\n")


def test_kfp_looks_the_contexts_up_for_every_task() -> None:
    assert task_dispatcher.logging_utils is logging_utils
    assert pipeline_orchestrator.logging_utils is logging_utils
