"""Run a module in a forked process with the semantics of `python -m MODULE ARGUMENT...`."""

import atexit
import os
import runpy
import signal
import sys
import threading
import traceback
from types import TracebackType
from typing import NoReturn


def run_module(arguments: list[str]) -> NoReturn:
    """Run a module as `__main__` and end the process as a new interpreter would.

    Args:
        arguments: Name of the module, followed by its arguments.
    """
    module = arguments[0]
    # With -m, sys.path starts with the working directory; runpy sets argv[0] to the module's file.
    sys.path[0] = os.getcwd()
    sys.argv = ["-m", *arguments[1:]]
    _reseed()
    status = 1
    interrupted = False
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as request:
        status = _exit_status(request.code)
    except KeyboardInterrupt as error:
        interrupted = True
        _print(error)
    except BaseException as error:  # noqa: BLE001 - as the interpreter does
        _print(error)
    _end(status, interrupted)


def _end(status: int, interrupted: bool) -> NoReturn:
    try:
        # Same order as the interpreter: join the threads, then run the functions registered with atexit.
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    except BaseException as error:  # noqa: BLE001 - as the interpreter does
        _print(error)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        status = status or 120
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status)


def _exit_status(code: object) -> int:
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    sys.stderr.write(f"{code}\n")
    return 1


def _reseed() -> None:
    # Python reseeds its generator after a fork, NumPy does not: two steps would draw the same random numbers.
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _print(error: BaseException) -> None:
    # Omit the frames of this module and of the warm interpreter.
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    traceback.print_exception(type(error), error, frames)
