"""Encodings and line ends of CSV files: UTF-8 is read as it is; what can be converted is converted in the scratch folder.

Every byte is checked, in blocks, since an accent or a damaged line may come late in a file.
"""

import codecs
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts.notes import Note
from tiffin.errors import InputError
from tiffin.stages.ingest.accents import find_accents, likely_encoding
from tiffin.stages.ingest.filetypes import compression, explained_compression, open_bytes

_BLOCK = 1 << 20
_MARKS = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF32_BE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16",
          codecs.BOM_UTF16_BE: "UTF-16"}  # fmt: skip
WESTERN = "Windows-1252"


@dataclass
class _Content:
    r"""What the bytes of a file have.

    Attributes:
        utf8: Whether they are UTF-8.
        nul: Line of the first NUL; 0 if there is none.
        lf: Number of `\n` outside quotes, without `\r` before it.
        crlf: Number of `\r\n` outside quotes.
        cr: Number of `\r` outside quotes, without `\n` after it.
    """

    utf8: bool = True
    nul: int = 0
    lf: int = 0
    crlf: int = 0
    cr: int = 0


def readable_csv(path: Path, uri: str, scratch: Path) -> tuple[Path, list[Note]]:
    """Return the path of a CSV file in UTF-8 with one kind of line end, and notes on what was converted.

    Args:
        path: Local path; compressed if its content is.
        uri: Path or URI of the file, for messages.
        scratch: Existing folder for a converted file.

    Raises:
        InputError: The compressed data is damaged, or the encoding is neither Unicode nor Western European.
    """
    packed = compression(path)
    with open_bytes(path) as file, explained_compression(uri):
        start = file.read(4)
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "")
    notes = []
    if encoding:
        notes += [Note("ENCODING", f"'{uri}' is {encoding} and was converted to UTF-8.", example=encoding)]
        path, packed = _rewritten(_decoded(_blocks(path, uri), uri, encoding), scratch / "utf8.csv"), ""
    content = _content(_blocks(path, uri))
    if content.nul:
        raise _with_nul(path, uri, content.nul)
    if not content.utf8:
        notes += _other_encoding(path, uri)
        if notes:
            path, packed = _rewritten(_decoded(_blocks(path, uri), uri, WESTERN), scratch / "utf8.csv"), ""
    lf, crlf, cr = content.lf, content.crlf, content.cr
    if cr or (lf and crlf):
        if lf or crlf:
            counts = ", ".join(f"{n} {kind}" for kind, n in (("LF", lf), ("CRLF", crlf), ("CR", cr)) if n)
            text = f"'{uri}' has several kinds of line ends ({counts}); each was read as a line end."
            notes += [Note("LINE_ENDS", text, count=min(n for n in (lf, crlf, cr) if n), example=counts)]
        path, packed = _rewritten(_one_line_end(_blocks(path, uri)), scratch / "lines.csv"), ""
    if packed == ".gz" and not path.name.endswith(".gz"):
        link = scratch / "data.csv.gz"  # DuckDB decompresses by the suffix.
        link.symlink_to(path.resolve())
        path = link
    elif packed in (".bz2", ".xz"):
        path = _rewritten(_blocks(path, uri), scratch / "data.csv")
    return path, notes


def _blocks(path: Path, uri: str) -> Iterator[bytes]:
    with explained_compression(uri), open_bytes(path) as file:
        while block := file.read(_BLOCK):
            yield block


def _rewritten(blocks: Iterable[bytes], path: Path) -> Path:
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)
    return path


def _content(blocks: Iterable[bytes]) -> _Content:
    found = _Content()
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, quoted = 0, False
    for block in _whole_line_ends(blocks):
        if found.utf8 and not (block.isascii() and not decoder.getstate()[0]):
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                found.utf8 = False
        if b"\0" in block:
            found.nul = lines + block.count(b"\n", 0, block.index(b"\0")) + 1
            return found
        all_feeds = block.count(b"\n")
        lines += all_feeds
        # Without any carriage return, line ends inside quotes need not be told apart.
        if found.crlf or found.cr or b"\r" in block:
            outside = b'"'.join(block.split(b'"')[quoted::2])
            feeds, returns = outside.count(b"\n"), outside.count(b"\r")
            pairs = outside.count(b"\r\n") if returns else 0
            found.lf, found.crlf, found.cr = found.lf + feeds - pairs, found.crlf + pairs, found.cr + returns - pairs
        else:
            found.lf += all_feeds
        quoted ^= bool(block.count(b'"') % 2)
    return found


def _whole_line_ends(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the blocks so that none ends between `\r` and `\n`."""
    rest = b""
    for block in blocks:
        text = rest + block if rest else block
        whole = text.rstrip(b"\r") if text.endswith(b"\r") else text
        rest = text[len(whole) :]
        yield whole
    yield rest


def _one_line_end(blocks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Yield the text with `\n` for every line end outside quotes."""
    quoted = False
    for block in _whole_line_ends(blocks):
        parts = block.split(b'"')
        if b"\r" in b'"'.join(parts[1 - quoted :: 2]):
            parts[int(quoted) :: 2] = [_line_feeds(part) for part in parts[int(quoted) :: 2]]
            yield b'"'.join(parts)
        else:
            yield _line_feeds(block)
        quoted ^= len(parts) % 2 == 0


def _line_feeds(text: bytes) -> bytes:
    # Some programs write \r\r\n.
    return text.replace(b"\r\r\n", b"\n").replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text


def _decoded(blocks: Iterable[bytes], uri: str, encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for block in blocks:
            yield decoder.decode(block).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError:
        raise InputError(f"'{uri}' is not complete {encoding} text. Write or copy it again, in UTF-8.") from None


def _with_nul(path: Path, uri: str, line: int) -> InputError:
    """Return the error for a file with NULs: UTF-16 without a byte order mark, or damage."""
    with open_bytes(path) as file:
        head = file.read(4096)
    name = uri.rsplit("/", 1)[-1]
    for encoding, zeros in (("UTF-16LE", head[1::2]), ("UTF-16BE", head[::2])):
        if zeros.count(0) > 0.6 * len(zeros):
            return InputError(
                f"'{uri}' should be UTF-8. Received: a file that looks like {encoding} without a byte order mark. "
                f"Convert it: iconv -f {encoding} -t UTF-8 {name} > utf8-{name}"
            )
    return InputError(
        f"'{uri}' should be text. Received: a NUL byte in line {line}. Write or copy the file again, or remove them: "
        f"tr -d '\\000' < {name} > clean-{name}"
    )


def _other_encoding(path: Path, uri: str) -> list[Note]:
    """Return the note on a file that is read as Windows-1252; none if a few lines only are not UTF-8, which are skipped.

    Raises:
        InputError: The text is not Western European.
    """
    accents = find_accents(_blocks(path, uri))
    if accents.utf8 > accents.other:
        return []
    if not accents.western:
        name = uri.rsplit("/", 1)[-1]
        likely = likely_encoding(accents.sample)
        raise InputError(
            f"'{uri}' should be UTF-8. Received: other bytes in line {accents.line}"
            f"{f', which look like {likely}' if likely else ''}. "
            f"Convert it: iconv -f {likely or 'ENCODING'} -t UTF-8 {name} > utf8-{name}"
        )
    return [
        Note(
            "ENCODING",
            f"'{uri}' is not UTF-8 and was read as {WESTERN}, the superset of Latin-1. If letters are wrong, convert the file "
            "with iconv.",
            count=accents.count,
            example=f"line {accents.line}: {accents.word}",
        )
    ]
