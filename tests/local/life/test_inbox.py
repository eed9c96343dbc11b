"""The webhook that takes notifications, and alerts as an Alertmanager does."""

import json
import threading
import urllib.error
import urllib.request
from typing import Any

import pytest

from tiffin.local.life.inbox import open_inbox
from tiffin.local.life.timeline import Event, timeline_lines


def post(address: str, path: str, content: Any) -> int:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(urllib.request.Request(f"http://{address}{path}", body), timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def alert(name: str) -> dict[str, Any]:
    return {"labels": {"alertname": name, "severity": "warning"}}


def test_nothing_has_arrived() -> None:
    with open_inbox() as inbox:
        assert (inbox.notifications, inbox.alerts) == ([], [])
        assert not inbox.wait_for_alert("TiffinDrift", 0.01)


def test_notifications_and_alerts() -> None:
    with open_inbox() as inbox:
        assert post(inbox.address, "/notify", {"title": "taxi is degraded", "message": "x"}) == 200
        waiting = threading.Timer(
            0.1, post, (inbox.address, "/api/v2/alerts", [alert("TiffinDrift"), alert("TiffinDecay")])
        )
        waiting.start()
        assert inbox.wait_for_alert("TiffinDecay", 20)
        assert post(inbox.address, "/api/v2/alerts", [alert("TiffinDrift")]) == 200
        assert inbox.notifications == ["taxi is degraded"]
        assert inbox.alerts == ["TiffinDrift (warning)", "TiffinDecay (warning)"]


@pytest.mark.parametrize("content", [b"{", b"", [], [{}], "x"])
def test_what_is_no_message_is_refused_or_left(content: Any) -> None:
    with open_inbox() as inbox:
        path = "/notify" if content != [{}] else "/api/v2/alerts"
        assert post(inbox.address, path, content) == 400
        assert (inbox.notifications, inbox.alerts) == ([], [])


def test_no_events() -> None:
    assert list(timeline_lines([])) == []


def test_events_are_lines_of_79_columns() -> None:
    events = [Event(0.4, "trained", "a word " * 30), Event(1234.5, "rolled back", "short")]
    lines = list(timeline_lines(events))
    assert max(map(len, lines)) <= 79
    assert lines[0].startswith("    0 s  trained      a word")
    assert lines[-1] == " 1234 s  rolled back  short"
