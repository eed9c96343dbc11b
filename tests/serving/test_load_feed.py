import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from tiffin.errors import InputError
from tiffin.serving import load_feed
from tiffin.serving.load import Ending
from tiffin.serving.load_feed import Feed
from tiffin.serving.load_requests import Request
from tiffin.serving.rows import Row
from tiffin.serving.stream import Answer

# A row that cannot be sent.
BAD = Answer(Row(2, 3, {}), None, "no number")


class File:
    """A file of requests, and how often it was opened."""

    def __init__(self, *found: str | Answer) -> None:
        self.found = found
        self.opened = 0

    @contextlib.contextmanager
    def open(self) -> Iterator[Iterator[Any]]:
        self.opened += 1
        yield self.read()

    def read(self) -> Iterator[Any]:
        for one in self.found:
            yield Request(one.encode(), 1, ()) if isinstance(one, str) else one


def taken(file: File, number: int) -> tuple[Feed, list[str]]:
    """Take requests of a file."""

    async def take() -> tuple[Feed, list[str]]:
        with contextlib.closing(Feed("a.csv", file.read(), file.open)) as feed:
            await feed.wait_until_full(Ending())
            return feed, [(await feed.take()).message.decode() for _ in range(number)]

    return asyncio.run(take())


def test_no_rows() -> None:
    with pytest.raises(InputError, match=r"'a\.csv'.*\b0\b"):
        taken(File(), 1)


def test_only_rows_that_cannot_be_sent() -> None:
    other = Answer(Row(1, 2, {}), None, "other")
    with pytest.raises(InputError, match=r"2 .*row 1: other"):
        taken(File(BAD, other), 1)


def test_a_file_of_which_no_row_can_be_sent_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_feed, "_HOPELESS_ROWS", 3)
    with pytest.raises(InputError, match=r"\b3\b"):
        taken(File(*[BAD] * 9), 1)


def test_a_small_file_is_read_once() -> None:
    file = File("a", BAD, "b", "c")
    feed, found = taken(file, 7)

    assert "".join(found) == "abcabca"
    assert (feed.taken, feed.size, feed.skipped, feed.first_skipped, file.opened) == (7, 3, 1, BAD, 0)


@pytest.mark.parametrize(("limit", "value"), [("KEPT_REQUESTS", 2), ("KEPT_BYTES", 2), ("_AHEAD_REQUESTS", 1)])
def test_a_larger_file_is_read_again(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    monkeypatch.setattr(load_feed, limit, value)
    if limit == "_AHEAD_REQUESTS":
        monkeypatch.setattr(load_feed, "KEPT_REQUESTS", 2)
    file = File("a", BAD, "b", "c")
    feed, found = taken(file, 7)

    assert "".join(found) == "abcabca"
    assert (feed.size, feed.skipped) == (3, 1)
    assert file.opened >= 2


def test_requests_made_ahead_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_feed, "_AHEAD_BYTES", 3)
    read = []

    def follow() -> Iterator[Request]:
        for number in range(100):
            read.append(number)
            yield Request(b"x", 1, ())

    async def take() -> int:
        with contextlib.closing(Feed("a.csv", follow(), File().open)) as feed:
            await feed.wait_until_full(Ending())
            return len(read)

    assert asyncio.run(take()) <= 4


def test_a_file_that_cannot_be_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_feed, "KEPT_REQUESTS", 1)
    file = File("a", "b")

    @contextlib.contextmanager
    def fail() -> Iterator[Iterator[Any]]:
        raise InputError("gone")
        yield iter(())

    async def take() -> None:
        with contextlib.closing(Feed("a.csv", file.read(), fail)) as feed:
            assert [(await feed.take()).message for _ in range(2)] == [b"a", b"b"]
            await feed.take()

    with pytest.raises(InputError, match="gone"):
        asyncio.run(take())


def test_a_file_that_is_empty_the_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_feed, "KEPT_REQUESTS", 1)

    async def take() -> None:
        with contextlib.closing(Feed("a.csv", File("a", "b").read(), File().open)) as feed:
            for _ in range(3):
                await feed.take()

    with pytest.raises(InputError, match=r"'a\.csv'.*\b0\b"):
        asyncio.run(take())
