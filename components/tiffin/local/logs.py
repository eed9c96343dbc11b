"""Keep what kfp.local prints and logs from changing this process.

For each task, kfp.local 2.17 replaces `print` and the root logger's handlers, and puts back what it found. Iterations of a
loop run in threads: where they overlap, one puts back what another has set, and the process prints indented texts, or logs
to a closed file, ever after. During a run, the logger is set once, and nothing replaces `print`.
"""

import contextlib
from collections.abc import Iterator

from kfp.local import logging_utils


@contextlib.contextmanager
def shared_logger() -> Iterator[None]:
    """Make all tasks of kfp.local log to the standard output of now, for the duration of the block."""
    context, indented = logging_utils.local_logger_context, logging_utils.indented_print
    with context():
        logging_utils.local_logger_context = logging_utils.indented_print = contextlib.nullcontext
        try:
            yield
        finally:
            logging_utils.local_logger_context, logging_utils.indented_print = context, indented
