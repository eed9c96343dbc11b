"""Processes that change one file, each reading it and writing it back."""

from tiffin import storage
from tiffin.errors import Conflict


def add_ones(uri: str, times: int) -> None:
    """Add one to the number in a file `times` times, by compare-and-swap."""
    done = 0
    while done < times:
        content, token = storage.read(uri) or (b"", None)
        try:
            storage.compare_and_swap(uri, str(int(content) + 1).encode(), token)
        except Conflict:
            continue
        done += 1
