"""tiffin-model-server: what stands in for TensorFlow Serving's binary on one machine.

    tiffin-model-server --port=8500 --model_name=taxi --model_base_path=/models/taxi

It takes the flags of `tensorflow_model_server` and speaks its gRPC and REST APIs, with its codes and texts, and
runs SavedModels as it does. It is for development and tests: production runs `tensorflow/serving`.

Nothing heavy is imported before `main` runs, so that a process forked from one that has imported TensorFlow can
call it; threads start after that.
"""

__all__ = ["main"]


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        argv: The arguments after the program's name. Defaults to the command line.

    Returns:
        The exit status: 0 after a clean stop, 255 where the server could not start.
    """
    import sys

    from tiffin.local.server import flags

    arguments = sys.argv[1:] if argv is None else argv
    options, unknown, wrong = flags.parse(arguments)
    usage = flags.usage("tiffin-model-server")
    if wrong or arguments[:1] == ["--help"]:
        sys.stderr.write("".join(f"{text}\n" for text in wrong))
        sys.stdout.write(usage)
        return 255
    from tiffin.local.server import program

    if options.version:
        sys.stdout.write(program.version())
        return 0
    if unknown:
        sys.stdout.write(f"unknown argument: {unknown[0]}\n{usage}")
        sys.stdout.flush()  # the server goes on, and its log follows
    return program.serve(options)
