"""The queue between Envoy's streams and the writer."""

from tiffin.recorder.inbox import Inbox


def test_an_empty_queue_returns_nothing_after_the_timeout() -> None:
    assert len(Inbox(1, 1).get(0.0)) == 0


def test_entries_come_in_order() -> None:
    inbox = Inbox(10, 100)

    assert [inbox.put([1, 2], 10), inbox.put([3], 10)] == [0, 0]
    assert inbox.entries == 3
    assert [inbox.get(0.0), inbox.get(0.0), inbox.entries] == [[1, 2], [3], 0]


def test_what_does_not_fit_is_dropped() -> None:
    inbox = Inbox(3, 100)

    assert [inbox.put([1, 2], 1), inbox.put([3, 4, 5], 1), inbox.put([6], 1)] == [0, 2, 1]
    assert [inbox.get(0.0), inbox.get(0.0), inbox.put([7], 1)] == [[1, 2], [3], 0]


def test_entries_that_have_too_many_bytes_are_dropped() -> None:
    inbox = Inbox(10, 100)

    assert [inbox.put([1], 60), inbox.put([2, 3], 60), inbox.put([4], 40)] == [0, 2, 0]
    assert inbox.entries == 2
