"""tiffin-model-server: what stands in for TensorFlow Serving's binary on one machine.

    tiffin-model-server --port=8500 --model_name=taxi --model_base_path=/models/taxi

It is for development and tests: production runs `tensorflow/serving`. README.md says what it does alike, and what not.

Nothing heavy is imported before `main` runs, so that a process forked from one that has imported TensorFlow can
call it; threads start after that.
"""

from typing import NoReturn

__all__ = ["leave", "main"]


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        argv: The arguments after the program's name. Defaults to the command line; then the process ends with the
            server.

    Returns:
        The exit status: 0 after a clean stop, 255 where the server could not start.
    """
    import sys

    if argv is None:
        leave(_main(sys.argv[1:]))
    return _main(argv)


def leave(status: int) -> NoReturn:
    """End the process now.

    At a common end Python joins the threads of its pools: one with a reload that waits for a model would keep the
    process for ever, one with a long run for longer than the grace that requests in flight are given.
    """
    import os
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _main(arguments: list[str]) -> int:
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
        sys.stdout.flush()  # the server goes on, and its log follows
    return program.serve(options)
