"""The page of a report: sections of text, tables and charts as one HTML file without scripts that loads nothing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jinja2
from markupsafe import Markup

from tiffin.printing import printable

Tone = Literal["good", "warning", "bad", "muted"]


@dataclass(frozen=True)
class Mark:
    """A cell of a table, or a word beside a title, in a colour: `good`, `warning`, `bad` or `muted`."""

    text: str
    tone: Tone


Cell = str | Mark


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        header: Names of the columns.
        cells: Cells of each row.
        alignment: `l` or `r` for each column; empty for `l`.
        title: Title; empty for none. A folded table shows only its title until it is opened.
        is_folded: Whether the table is folded.
    """

    kind: ClassVar[str] = "table"
    header: Sequence[str]
    cells: Sequence[Sequence[Cell]]
    alignment: str = ""
    title: str = ""
    is_folded: bool = False


@dataclass(frozen=True)
class Chart:
    """A chart: SVGs of `drawing.draw`, one below the other, their title, what they show, and a word beside the title."""

    title: str
    svg: str
    text: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    kind: ClassVar[str] = "charts"
    charts: Sequence[Chart]


@dataclass(frozen=True)
class Card:
    """A column of the data: its name, what it is, its values in a few lines, and a small chart; empty for none."""

    title: str
    about: str
    lines: Sequence[str]
    svg: str = ""


@dataclass(frozen=True)
class Cards:
    """Cards side by side."""

    kind: ClassVar[str] = "cards"
    cards: Sequence[Card]


Block = Text | Table | Charts | Cards


@dataclass(frozen=True)
class Section:
    """A section: its title and its blocks, in order."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Title.
        state: How the run ended, in one word.
        tone: Colour of the state.
        reason: Why, in a sentence.
        facts: Name and value of what a reader looks for first.
        sections: Sections, in order.
        content: HTML in place of sections.
        action: What to do, in a sentence.
    """

    title: str
    state: str
    tone: Tone
    reason: str
    facts: Sequence[tuple[str, str]] = ()
    sections: Sequence[Section] = ()
    content: str = ""
    action: str = ""


def tone_of(state: str) -> Tone:
    """Return the colour of a run's state."""
    return "good" if state in ("SUCCEEDED", "PASSED", "WAITING") else "bad"


def made(make: Callable[[], Sequence[Block]]) -> Sequence[Block]:
    """Return the blocks of a section. A defect in one section must not hide the others, nor fail a run that is over."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - shown where the section would be
        return [
            Text(f"This section could not be written, which is a defect of Tiffin: {type(error).__name__}: {error}")
        ]


def render(page: Page) -> str:
    """Return a page as HTML. Texts of users are escaped, control characters too."""
    text: str = _environment().get_template("page.html").render(page=page)
    return text


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("tiffin.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )


def _shown(value: Any) -> Any:
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value
