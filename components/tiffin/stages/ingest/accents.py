"""Tell the encoding of a text that is not UTF-8 from its accented letters."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_RUN = re.compile(rb"[\x80-\xff]+")
_LONG_RUN = re.compile(rb"[\x80-\xff]{3,}")
_UTF8_RUN = re.compile(
    rb"(?<![\x80-\xff])(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3})+(?![\x80-\xff])"
)
_WORD = re.compile(rb"[\w.']{0,20}[\x80-\xff][\w.'\x80-\xff]{0,40}", re.ASCII)
# Windows-1252 has no such characters.
_UNDEFINED = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")
# Symbols between letters, such as `³` or `¿`: letters of another encoding. An apostrophe, dashes, a soft hyphen, a middle dot and
# a space may stand there.
_FOREIGN = re.compile(rb"(?<=[a-z])[\x80-\x89\x8b\x95\x98\x99\x9b\xa1-\xac\xae-\xb6\xb8-\xbf\xd7\xf7](?=[a-z])")
_HIGH = bytes(range(128, 256))
_SAMPLE = 1 << 16
# Runs that are enough to tell the encoding.
_ENOUGH = 100_000
_CENTRAL = "ąćęłńóśźżčďěňřšťůžáéíýúäöüőű"
# Encodings and the most frequent letters of their languages, or their accented letters.
_LETTERS = (
    ("WINDOWS-1251", "оеаинтсрвлкмдпу"),
    ("KOI8-R", "оеаинтсрвлкмдпу"),
    ("ISO-8859-7", "αοιετσνηυρπκμλςάίόέή"),
    ("ISO-8859-2", _CENTRAL),
    ("WINDOWS-1250", _CENTRAL),
)
_CHARACTERS = (
    ("SHIFT_JIS", "[ぁ-ヿ一-鿿]"),
    ("EUC-JP", "[ぁ-ヿ]"),
    ("EUC-KR", "[가-힣]"),
    ("GB18030", "[一-鿿]"),
    ("BIG5", "[一-鿿]"),
)


@dataclass
class Accents:
    """What the bytes above 127 of a text look like.

    Attributes:
        count: Number of bytes above 127.
        utf8: Number of runs that are UTF-8, among the first 100,000.
        other: Number of runs that are not.
        long: Number of runs of more than two bytes, which are rare in Western European text.
        foreign: Number of characters that no Western European word has.
        line: Line of the first run that is not UTF-8.
        word: The word around that run, as Windows-1252.
        sample: Words with such runs, up to 64 kB.
    """

    count: int = 0
    utf8: int = 0
    other: int = 0
    long: int = 0
    foreign: int = 0
    line: int = 0
    word: str = ""
    sample: bytes = field(default=b"", repr=False)

    @property
    def western(self) -> bool:
        """Whether the text is most likely Windows-1252 or its subset Latin-1."""
        return self.foreign <= 0.02 * self.other and self.long <= 0.05 * self.other


def find_accents(blocks: Iterable[bytes]) -> Accents:
    """Return what the bytes above 127 of a text look like."""
    found = Accents()
    lines = 1
    for block in _whole_lines(blocks):
        if block.isascii():
            lines += block.count(b"\n")
            continue
        found.count += len(block) - len(block.translate(None, _HIGH))
        if found.utf8 + found.other > _ENOUGH:
            continue
        runs, utf8 = len(_RUN.findall(block)), len(_UTF8_RUN.findall(block))
        found.utf8 += utf8
        found.other += runs - utf8
        found.long += len(_LONG_RUN.findall(block)) if runs > utf8 else 0
        if runs > utf8 and not found.line:
            start = next(match.start() for match in _RUN.finditer(block) if not _UTF8_RUN.fullmatch(match[0]))
            found.line = lines + block.count(b"\n", 0, start)
            found.word = next(word for word in _WORD.finditer(block) if word.end() > start)[0].decode(
                "cp1252", "replace"
            )
        found.foreign += len(_FOREIGN.findall(block)) + len(_UNDEFINED.findall(block))
        if len(found.sample) < _SAMPLE:
            found.sample += b"\n".join(match[0] for match in _WORD.finditer(block))[:_SAMPLE] + b"\n"
        lines += block.count(b"\n")
    return found


def likely_encoding(sample: bytes) -> str:
    """Return the name of the encoding that gives words of one language, as iconv takes it; empty if none does."""
    accented = len(re.findall(rb"[a-zA-Z]", sample)) > len(re.findall(rb"[\x80-\xff]", sample))
    shares = {
        name: _share(sample.decode(name, "replace").lower(), f"[{letters}]")
        for name, letters in _LETTERS
        if (letters == _CENTRAL) is accented
    }
    best = max(shares, key=lambda name: shares[name])
    if shares[best] > 0.6:
        return best
    return next((name for name, found in _CHARACTERS if _share(sample.decode(name, "replace"), found) > 0.7), "")


def _share(text: str, letters: str) -> float:
    return len(re.findall(letters, text)) / max(sum(ord(letter) > 127 for letter in text), 1)


def _whole_lines(blocks: Iterable[bytes]) -> Iterable[bytes]:
    """Yield the blocks so that no block ends within a run."""
    rest = b""
    for block in blocks:
        text = rest + block
        end = max(text.rfind(b"\n"), text.rfind(b","), text.rfind(b";"), text.rfind(b"\t")) + 1
        if not end and len(text) < 1 << 22:
            rest = text
            continue
        yield text[:end] if end else text
        rest = text[end:] if end else b""
    yield rest
