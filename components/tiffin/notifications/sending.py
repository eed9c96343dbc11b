"""Send a message to addresses, side by side, each within its time."""

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tiffin.errors import TiffinError
from tiffin.masking import masked
from tiffin.notifications.addresses import Address, load, make_plugin, silenced
from tiffin.notifications.messages import Message
from tiffin.printing import printable

# Seconds for one address.
TIMEOUT = 20.0
_SENT, _UNKNOWN = "", "the service did not say why"


@dataclass(frozen=True)
class Delivery:
    """What became of a message at one address.

    Attributes:
        address: Name of the address.
        problem: Why it did not arrive; empty if it did.
    """

    address: str
    problem: str = ""


def send(message: Message, addresses: Sequence[Address], timeout: float = TIMEOUT) -> list[Delivery]:
    """Send a message, and return what became of it at each address, in their order. Nothing is raised.

    Args:
        message: The message.
        addresses: Where it goes.
        timeout: Seconds for each address. Defaults to 20. A service that has not answered by then may still have got it.
    """
    load()
    problems: dict[int, str] = {}
    with silenced() as records:
        # Not a pool: at its end, Python waits for the threads of pools, even for one that a server holds up.
        threads = [
            threading.Thread(target=_attempt, args=(message, one.url, number, problems), daemon=True)
            for number, one in enumerate(addresses)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + timeout
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        deliveries = []
        for number, (one, thread) in enumerate(zip(addresses, threads, strict=True)):
            problem = problems.get(number, f"no answer within {timeout:g} s")
            if problem == _UNKNOWN:
                logged = [record.getMessage() for record in list(records) if record.thread == thread.ident]
                problem = _in_words(logged) or _UNKNOWN
            deliveries.append(Delivery(one.name, _without(problem, one.url)))
    return deliveries


def _attempt(message: Message, url: str, number: int, problems: dict[int, str]) -> None:
    try:
        plugin = make_plugin(url, "An address")
        form, body = _body(plugin, message)
        sent = plugin.notify(body=body, title=message.title, notify_type=message.level, body_format=form)
        problems[number] = _SENT if sent else _UNKNOWN
    except TiffinError as error:
        problems[number] = str(error)
    except Exception as error:  # noqa: BLE001 - of any of 130 services; the run goes on
        problems[number] = f"{type(error).__name__}: {error}"


def _body(plugin: Any, message: Message) -> tuple[str, str]:
    """Return the form that a service shows best, and the body in it: HTML for mail, else text; Markdown if it has no other."""
    formats = plugin.notify_format
    names = [str(getattr(one, "value", one)) for one in (formats if isinstance(formats, list | tuple) else [formats])]
    if names[0] == "html":
        return "html", message.html
    return ("markdown", message.markdown) if names == ["markdown"] else ("text", message.text)


def _in_words(lines: Sequence[str]) -> str:
    """Return why a service did not take a message, from what apprise logged about it."""
    text = " ".join(lines)
    if code := re.search(r"error=(\d{3})", text):
        return f"the service answered with HTTP {code[1]}"
    if re.search(r"connection error|submitting|Could not connect", text, re.IGNORECASE):
        return "the service could not be reached, or refused the message"
    return lines[-1] if lines else ""


def _without(problem: str, url: str) -> str:
    """Return a problem on one line, without the URL and the parts of it that may be secrets."""
    for part in sorted({url, *re.findall(r"[^/:?&=@#\s]{8,}", url)}, key=len, reverse=True):
        problem = problem.replace(part, "***")
    return printable(masked(problem)).strip().rstrip(".")[:300]
