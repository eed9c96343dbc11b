"""What happened in the life of a model, as lines of a terminal."""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH = 79


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        seconds: Time since the start.
        what: Kind, in a word or two.
        text: What, with its figures.
    """

    seconds: float
    what: str
    text: str


def timeline_lines(events: Sequence[Event]) -> Iterator[str]:
    """Yield the events as lines of at most 79 columns: the time, the kind, and what happened."""
    width = max((len(one.what) for one in events), default=0)
    for one in events:
        start = f"{one.seconds:5.0f} s  {one.what:<{width}}  "
        yield from textwrap.wrap(
            one.text, _WIDTH, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False
        )
