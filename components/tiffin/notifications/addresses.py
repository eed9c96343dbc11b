"""Addresses of notifications: apprise's URLs, from the environment variable TIFFIN_NOTIFY and the parameter notify_to.

TIFFIN_NOTIFY has one address per line, `tag=url` or `url`, as apprise's own text configuration; it may have secrets, and comes
from one. The parameter, which Kubeflow Pipelines stores and shows, has names of tags, and URLs without secrets.
"""

import functools
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.masking import MASK, has_secret

VARIABLE = "TIFFIN_NOTIFY"
# Schemes of apprise that notify a person at this machine, or write to its log. Nothing of a step is seen there.
LOCAL = frozenset(
    ["syslog", "windows", "macosx", "gnome", "dbus", "kde", "qt", "glib", "gio", "blink1"]
)  # fmt: skip
# Settings in a URL that name a file on the machine that sends.
_FILES = re.compile(r"[?&](keyfile|subfile|pgp\w*|pem\w*|smime\w*|cert\w*|attach\w*)=", re.IGNORECASE)
_LINE = re.compile(r"(?:(?P<tags>[\w,:\- \t]*?)\s*=\s*)?(?P<url>[A-Za-z][A-Za-z0-9]{0,31}://\S.*)")
_TAG = re.compile(r"[A-Za-z0-9_-]+")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
# Schemes whose host is that of a server, and not a part of a token.
_HOSTS = re.compile(r"((?:json|xml|form|mailto)s?)://(?:[^/?#\s]*@)?([\w.-]+(?::\d+)?)")
_EXAMPLE = "json://hooks.example/tiffin"


@dataclass(frozen=True)
class Address:
    """An address.

    Attributes:
        name: Tags and URL without secrets, such as `ops (mailto://smtp.example/…)`; unique among the addresses of a run.
        url: apprise's URL, with its secrets.
        tags: Names that select it.
        id: Its tags, or else its name: by it, messages wait for it, also while its URL is corrected.
    """

    name: str
    url: str
    tags: tuple[str, ...] = ()
    id: str = ""

    def __repr__(self) -> str:
        return f"Address({self.name!r})"


def check_notify_to(to: Sequence[object]) -> None:
    """Raise an InputError if the parameter `notify_to` has no addresses, or has secrets.

    Tags are checked only if TIFFIN_NOTIFY is set here: otherwise, it is only set where steps run.
    """
    configured = read_addresses(os.environ.get(VARIABLE, ""))
    for one in to:
        if not isinstance(one, str) or not one.strip():
            raise InputError(f"notify_to should be a list of texts. Received: {one!r}. Pass tags or URLs.")
        if is_url(one):
            _check_public(one.strip())
            make_plugin(one.strip(), f"notify_to: '{_shown(one)}'")
        else:
            _check_tag(one, configured)


def choose_addresses(to: Sequence[str]) -> list[Address]:
    """Return the addresses that a parameter names; those of TIFFIN_NOTIFY if it is empty.

    Args:
        to: Tags of TIFFIN_NOTIFY, and URLs.

    Raises:
        InputError: An address is wrong, or a tag is unknown.
    """
    check_notify_to(to)
    configured = read_addresses(os.environ.get(VARIABLE, ""))
    if not to:
        return configured
    found: dict[str, Address] = {}
    for one in to:
        if is_url(one):
            found.setdefault(one.strip(), Address(_shown(one), one.strip()))
            continue
        chosen = [address for address in configured if one in address.tags]
        if not chosen:
            raise InputError(
                f"notify_to should have tags of {VARIABLE}. Received: '{one}', and {VARIABLE} is not set here. "
                f"Set it where steps run, from a secret, such as {one}={_EXAMPLE}"
            )
        for address in chosen:
            found.setdefault(address.url, address)
    return _named(list(found.values()))


def is_url(text: str) -> bool:
    """Return whether a text in the parameter is a URL; others are tags."""
    return bool(_URL.match(text))


def read_addresses(text: str) -> list[Address]:
    """Return the addresses in a text configuration of apprise: one `tag=url` or `url` per line; `#` starts a comment.

    Raises:
        InputError: A line is something else, such as an include of another file, or its URL is wrong. The message has no
            part of the line, which may be a secret.
    """
    found = []
    for number, line in enumerate(map(str.strip, text.splitlines()), 1):
        if not line or line[0] in "#;":
            continue
        match = _LINE.fullmatch(line)
        place = f"Line {number} of {VARIABLE}"
        tags = tuple(filter(None, re.split(r"[,\s]+", (match["tags"] or "") if match else "")))
        if not match or not all(map(_TAG.fullmatch, tags)):
            raise InputError(
                f"{place} should be tag=url or url, with tags of letters, digits, '_' and '-'. Received: something else. "
                f"Write one address per line, such as ops={_EXAMPLE}"
            )
        url = match["url"].strip()
        make_plugin(url, place)
        found.append(Address(f"{', '.join(tags)} ({_shown(url)})" if tags else _shown(url), url, tags))
    return _named(found)


def make_plugin(url: str, place: str) -> Any:
    """Return apprise's object for a URL. It connects to nothing.

    Args:
        url: The URL.
        place: Where it is from, for the error; without its secrets.

    Raises:
        InputError: apprise does not take the URL, or it is of this machine.
    """
    scheme = url.partition(":")[0].lower()
    if scheme in LOCAL:
        raise InputError(
            f"{place} should be an address of a service on the network. Received: {scheme}://, which is this machine. Pass "
            f"another address, such as {_EXAMPLE}"
        )
    if named := _FILES.search(url):
        raise InputError(
            f"{place} should not name a file of the machine that sends. Received: the setting '{named[1]}'. Remove it."
        )
    load()
    with silenced():
        from apprise import Apprise, AppriseAsset
        from apprise.common import PersistentStoreMode

        known = Apprise.instantiate(
            url, asset=AppriseAsset(app_id="Tiffin", storage_mode=PersistentStoreMode.MEMORY, pgp_autogen=False,
                                    pem_autogen=False, language="en"),
        )  # fmt: skip
    if known is None:
        raise InputError(
            f"{place} should be a URL of apprise. Received: one with {_hint(scheme)} Pass one such as {_EXAMPLE}"
        )
    return known


@functools.cache
def load() -> None:
    """Import apprise and its services, which takes 0.3 s. To be called before threads use it."""
    with silenced(), warnings.catch_warnings():
        # It imports imghdr, which Python 3.13 does not have any more.
        warnings.simplefilter("ignore", DeprecationWarning)
        from apprise.manager_plugins import NotificationManager

        NotificationManager().load_modules()


@contextmanager
def silenced() -> Iterator[list[logging.LogRecord]]:
    """Collect what apprise logs in the block. It never goes to standard error: it may show a part of a secret."""
    logger, records = logging.getLogger("apprise"), list[logging.LogRecord]()

    class _Collecting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(record)

    handler = _Collecting(logging.INFO)
    # For good: a thread that is given up may log later.
    logger.propagate = False
    if not any(isinstance(one, logging.NullHandler) for one in logger.handlers):
        logger.addHandler(logging.NullHandler())
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def _hint(scheme: str) -> str:
    from apprise.manager_plugins import NotificationManager

    known = NotificationManager()
    if scheme in known:
        missing = "packages that are not installed" if not known[scheme].enabled else "missing or wrong parts"
        return f"{missing} of {scheme}://, see https://appriseit.com/services/."
    return f"the unknown scheme {scheme}://.{did_you_mean(scheme, known.schemas())}"


def _check_public(url: str) -> None:
    """Raise an InputError if a URL in a parameter has a secret."""
    encoded = url.replace("@", "%40")
    if has_secret(url) and not has_secret(encoded) and not re.match(r"\w+://[^/?#]*@", url):
        raise InputError(
            f"notify_to should have each '@' of a mail address as %40, since texts before an '@' are taken for passwords. "
            f"Received: '{_shown(url)}' with an '@'. Write ops%40example.com."
        )
    plugin = make_plugin(url, f"notify_to: '{_shown(url)}'")
    has_header = bool(re.search(r"[?&](\+|%2B)", url, re.IGNORECASE))
    if has_secret(url) or has_header or plugin.url(privacy=True) != plugin.url(privacy=False):
        raise InputError(
            f"notify_to should not contain a login, a token or a header, since parameters are shown with the run. Received: "
            f"'{_shown(url)}' with one. Set it in {VARIABLE} from a secret, as a line TAG=URL, and pass the tag."
        )


def _check_tag(tag: str, configured: Sequence[Address]) -> None:
    known = sorted({one for address in configured for one in address.tags})
    if not _TAG.fullmatch(tag):
        raise InputError(
            f"notify_to should be a list of tags of {VARIABLE}, or of URLs. Received: {tag!r}. Pass one such as 'ops' or "
            f"'{_EXAMPLE}'."
        )
    if configured and tag not in known:
        raise InputError(
            f"notify_to should have tags of {VARIABLE}: {', '.join(known) or 'it has none'}. Received: '{tag}'."
            f"{did_you_mean(tag, known)}"
        )


def _shown(url: str) -> str:
    """Return a URL without its secrets: its scheme, and its host if that is a server."""
    host = _HOSTS.match(url.strip())
    if host:
        return f"{host[1]}://{host[2]}/…"
    scheme = _URL.match(url.strip())
    return f"{scheme[1]}://…" if scheme else MASK


def _named(addresses: Sequence[Address]) -> list[Address]:
    """Return addresses with unique names."""
    counts: dict[str, int] = {}
    found = []
    for one in addresses:
        if one.id:
            found.append(one)
            continue
        key = ",".join(one.tags) or one.name
        counts[key] = counts.get(key, 0) + 1
        number = f" #{counts[key]}" if counts[key] > 1 else ""
        found.append(replace(one, name=one.name + number, id=key + number))
    return found
