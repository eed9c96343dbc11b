"""The check that a built site loads nothing from another host."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# Elements whose address the browser fetches by itself. A plain link, <a href>, is not one of them.
_LOADED = {
    "audio": "src", "embed": "src", "iframe": "src", "img": "src", "link": "href", "object": "data", "script": "src",
    "source": "src", "track": "src", "video": "src",
}  # fmt: skip
# Relations of <link> that only name an address.
_NAMES = {"canonical", "next", "prev", "author", "license"}


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag in _LOADED and not _NAMES & set(values.get("rel", "").split()):
            self.found.append(values.get(_LOADED[tag], ""))
        # Material's script fetches Mermaid from another host where a page has such a drawing.
        if "mermaid" in values.get("class", "").split():
            self.found.append("//mermaid")
        self.found += _in_styles(values.get("style", ""))


def find_foreign(site: Path) -> list[str]:
    """Return `page: address` for everything that the pages and style sheets of a site load from another host."""
    return sorted(
        {f"{path.relative_to(site)}: {address}" for path, address in _addresses(site) if _is_foreign(address)}
    )


def _addresses(site: Path) -> Iterator[tuple[Path, str]]:
    for path in site.rglob("*.html"):
        parser = _Addresses()
        parser.feed(path.read_text())
        yield from ((path, address) for address in parser.found)
    for path in site.rglob("*.css"):
        yield from ((path, address) for address in _in_styles(path.read_text()))


def _in_styles(text: str) -> list[str]:
    return re.findall(r"""(?:url\(|@import\s+)\s*["']?([^"')\s;]+)""", text)


def _is_foreign(address: str) -> bool:
    return re.match(r"(?:\w+:)?//", address) is not None
