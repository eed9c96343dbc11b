"""The message about an event: a title, and its text as plain text, HTML and Markdown.

Reasons hold what users typed and what is in their data. A title is one line, so that it can add no header to a mail; HTML and
Markdown are escaped; and words that would call all members of a chat are broken up.
"""

import html
import re
from dataclasses import dataclass

from tiffin.masking import masked
from tiffin.notifications.events import KINDS, Event
from tiffin.printing import printable, printable_lines

# Characters. Chats cut longer texts, at 2,000 or less.
_TITLE, _TEXT, _READ = 150, 1200, 4000
_MOST_FIGURES = 12
_MENTION = re.compile(r"@(?=(?:everyone|here|channel|all|room)\b)", re.IGNORECASE)
# How Slack writes mentions; apprise finds them even without the bracket before.
_BRACKETED = re.compile(r"([!@])(?=[^\s|]+[^\n>]*>)")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~&])")


@dataclass(frozen=True)
class Message:
    """A message.

    Attributes:
        title: One line.
        level: As of `Kind`.
        text: Plain text.
        html: The same as a fragment of HTML.
        markdown: The same as Markdown.
    """

    title: str
    level: str
    text: str
    html: str
    markdown: str


def make_message(event: Event, repeated: int = 0, since: str = "") -> Message:
    """Return the message about an event.

    Args:
        event: The event.
        repeated: How often the same happened since the last message about it, without one. Defaults to 0.
        since: Time of that message, in ISO 8601.
    """
    kind = KINDS[event.kind]
    title = _cut(_safe(printable(f"Tiffin: {kind.title.format(subject=event.subject)}")), _TITLE)
    again = f"The same happened {repeated} more times since {since[:16].replace('T', ' ')} UTC." if repeated else ""
    facts = {
        **dict(list(event.figures.items())[:_MOST_FIGURES]),
        "pipeline": event.pipeline,
        "run": event.run,
        "see": event.link,
    }
    paragraphs = [_clean(event.reason), _clean(event.action), again]
    rows = [(name, _clean(value)) for name, value in facts.items() if value]
    command = printable(masked(event.command[:_READ]))
    return Message(
        title, kind.level, _as_text(paragraphs, rows, command), _as_html(paragraphs, rows, command),
        _as_markdown(paragraphs, rows, command),
    )  # fmt: skip


def make_test(text: str = "") -> Message:
    """Return a message that only tests addresses.

    Args:
        text: Its text. Defaults to one that says so.
    """
    paragraphs = [_clean(text) or "This is a test of the addresses of notifications. Nothing happened."]
    return Message(
        "Tiffin: test",
        "info",
        _as_text(paragraphs, [], ""),
        _as_html(paragraphs, [], ""),
        _as_markdown(paragraphs, [], ""),
    )


def _as_text(paragraphs: list[str], rows: list[tuple[str, str]], command: str) -> str:
    facts = "\n".join(f"{name}: {value}" for name, value in rows)
    run = f"Run: {command}" if command else ""
    return "\n\n".join(filter(None, [*paragraphs, facts, run])) or "No details."


def _as_html(paragraphs: list[str], rows: list[tuple[str, str]], command: str) -> str:
    parts = [f"<p>{html.escape(one).replace(chr(10), '<br>')}</p>" for one in paragraphs if one]
    if rows:
        # Not a table: the text that mail programs make of it would have names and values on lines of their own.
        facts = "<br>".join(f"{html.escape(name)}: <b>{_linked(value)}</b>" for name, value in rows)
        parts.append(f"<p>{facts}</p>")
    if command:
        parts.append(f"<p>Run:</p><pre>{html.escape(command)}</pre>")
    return "\n".join(parts) or "<p>No details.</p>"


def _as_markdown(paragraphs: list[str], rows: list[tuple[str, str]], command: str) -> str:
    facts = "\n".join(f"- {_escaped(name)}: {_escaped(value)}" for name, value in rows)
    # A fence longer than any in the command.
    run = f"Run:\n\n````\n{command.replace('````', '` ` ` `')}\n````" if command else ""
    return "\n\n".join(filter(None, [*map(_escaped, paragraphs), facts, run])) or "No details."


def _linked(value: str) -> str:
    text = html.escape(value)
    return f'<a href="{text}">{text}</a>' if re.fullmatch(r"https?://\S+", value) else text


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", text)


def _clean(text: str) -> str:
    # Cut before, since masking takes time that grows with the square of the length; and after, since masks are shorter.
    return _cut(_safe(printable_lines(masked(str(text)[:_READ])).strip()), _TEXT)


def _safe(text: str) -> str:
    return _BRACKETED.sub(r"\1 ", _MENTION.sub("@ ", text))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 2]} …"
