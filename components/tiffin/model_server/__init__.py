"""tiffin-model-server: a stand-in for TensorFlow Serving's binary on one machine.

    tiffin-model-server --port=8500 --model_name=taxi --model_base_path=/models/taxi

It is for development and tests; production runs `tensorflow/serving`. README.md lists what is the same and what differs.

Heavy modules are imported by `main`, and threads start after that, so that a process forked from one with TensorFlow
imported can call it.
"""

from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import threading

__all__ = ["leave", "main"]


def main(argv: list[str] | None = None, changed: "threading.Event | None" = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        argv: Arguments without the program's name. Defaults to the command line; the process then exits when the server
            stops.
        changed: Set by another thread of this process after it changed the file of --model_config_file, to apply it before
            the next poll. Defaults to polls only.

    Returns:
        Exit status: 0 after a clean stop, 255 if the server could not start.
    """
    import sys

    from tiffin.errors import needs_extra, reported

    if argv is None:
        with reported(1), needs_extra("model"):
            status = _main(sys.argv[1:])
        leave(status)
    return _main(argv, changed)


def leave(status: int) -> NoReturn:
    """Exit the process immediately.

    A regular exit would join the threads of Python's pools: a reload that waits for a model would block it forever, and a
    long model run for longer than the grace period of requests in flight.

    Args:
        status: Exit status.
    """
    import os
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _main(arguments: list[str], changed: "threading.Event | None" = None) -> int:
    import sys

    from tiffin.model_server import flags

    options, unknown, wrong = flags.parse(arguments)
    usage = flags.usage("tiffin-model-server")
    if wrong or unknown[:1] == ["--help"]:
        sys.stderr.write("".join(f"{text}\n" for text in wrong))
        sys.stdout.write(usage)
        return 255
    from tiffin.model_server import program

    if options.version:
        sys.stdout.write(program.version())
        return 0
    if unknown:
        sys.stdout.write(f"unknown argument: {unknown[0]}\n{usage}")
        sys.stdout.flush()  # the server starts, and its log follows
    from tiffin.errors import watched

    watched("model server")
    return program.serve(options, changed)
