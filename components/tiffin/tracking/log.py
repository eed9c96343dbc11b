"""Lines in the log of the step, without secrets of tracking URIs."""

import sys

from tiffin.masking import masked
from tiffin.printing import printable


def print_line(line: str) -> None:
    """Print a line to the log of the step."""
    print(printable(masked(line)), file=sys.stderr, flush=True)  # noqa: T201 - the step's log
