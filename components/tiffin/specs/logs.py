"""Lines of a step's log: those of the step itself, without those of kfp, TensorFlow and the backend."""

import re
from collections.abc import Iterator

from tiffin.artifacts.logs import find_error

# Lines that kfp's executor writes to every log. Messages that a component logs have the same prefix.
_EXECUTOR = re.compile(
    r"\[KFP Executor [^]]+\]: (?:Looking for component `|--component_module_path is not specified\.|"
    r'Loading KFP component "|Got executor_input:$|Wrote executor output file to |Did not write output file\.$)'
)
# Lines of KFP's launcher and driver, and their severity: `I1127 11:30:00.000000      17 launcher_v2.go:206] ...`.
_LAUNCHER = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ \S+\.go:\d+\] ")
# Lines that TensorFlow writes to every log.
_NOISE = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")
# Colors and other control sequences of terminals.
_CONTROL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b.|[\x00-\x08\x0e-\x1f\x7f]")


def step_lines(text: str) -> list[str]:
    """Return the lines that a step wrote, and warnings and errors of the launcher; without control sequences."""
    return [line for line in without_noise(_CONTROL.sub("", text).splitlines()) if line.strip()]


def error_line(lines: list[str]) -> str | None:
    """Return the error that a step ended with, in its lines without those of the launcher; None if there is none."""
    return find_error([line for line in lines if not _LAUNCHER.match(line)])


def without_noise(lines: list[str]) -> Iterator[str]:
    """Yield the lines, which may have their line ends, without those of kfp, TensorFlow and the launcher."""
    inside = False
    for line in lines:
        launcher = _LAUNCHER.match(line)
        if _EXECUTOR.match(line):
            inside = line.rstrip().endswith("Got executor_input:")
        elif launcher and launcher[1] == "I":
            # The launcher prints its input as JSON too.
            inside = line.rstrip().endswith("{")
        elif launcher or not inside:
            inside = False
            if not line.startswith(_NOISE):
                yield line
        elif line.rstrip() == "}":
            inside = False
