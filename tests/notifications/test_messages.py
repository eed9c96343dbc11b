"""Messages: what they tell, and texts that would do harm."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.notifications.events import KINDS, Event
from tiffin.notifications.messages import make_message, make_test


def event(**fields):
    return Event(**{"kind": "failure", "subject": "the pipeline training", "reason": "", **fields})


def test_an_event_without_details():
    message = make_message(event())
    assert message.title.endswith("failed")
    assert message.text


def test_a_test_message_needs_no_event():
    assert make_test().title == "Tiffin: test"
    assert make_test("hello").text == "hello"


def test_what_happened_the_figures_the_link_and_the_command():
    message = make_message(
        event(
            reason="9/10", figures={"rows": "10"}, action="Fix!", command="tiffin report r1",
            run="r1", pipeline="training", link="https://kf/#/runs/details/r1",
        ),
        repeated=3,
        since="2026-03-01T11:00:00+00:00",
    )  # fmt: skip
    reason, action, again, facts, command = message.text.split("\n\n")
    assert (reason, action) == ("9/10", "Fix!")
    assert re.findall("[0-9-]+", again) == ["3", "2026-03-01", "11", "00"]
    assert facts == "rows: 10\npipeline: training\nrun: r1\nsee: https://kf/#/runs/details/r1"
    assert command == "Run: tiffin report r1"
    assert '<a href="https://kf/#/runs/details/r1">' in message.html
    assert "<pre>tiffin report r1</pre>" in message.html


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_title_and_a_level(kind):
    message = make_message(event(kind=kind, subject="m version 1"))
    assert message.title.startswith("Tiffin: m version 1 ")
    assert message.level in {"failure", "warning", "success", "info"}


def test_a_title_is_one_line():
    title = make_message(event(subject="m\r\nBcc: all@example.com\x1b[2J\u202e")).title
    assert title == "Tiffin: m\\r\\nBcc: all@example.com\\x1b[2J\\u202e failed"


def test_html_and_markdown_are_escaped():
    message = make_message(event(reason="<script>alert(1)</script> [here](http://evil) **bold**"))
    assert "<script>" not in message.html
    assert "\\[here\\]\\(http" in message.markdown
    assert "\\*\\*bold" in message.markdown


def test_a_command_does_not_leave_its_block():
    message = make_message(event(command="x\n````\n# title\n````"))
    assert message.markdown.count("````") == 2
    assert "\n# title" not in message.markdown


@pytest.mark.parametrize("text", ["@everyone", "@here", "<!channel>", "!channel>", "<@U12345>", "@Channel"])
def test_no_text_calls_all_members_of_a_chat(text):
    found = make_message(event(subject=text, reason=text))
    for shown in (found.title, found.text, found.markdown):
        assert not re.search(r"@(everyone|here|channel|all|room)\b", shown, re.IGNORECASE)
        # How apprise finds mentions for Slack.
        assert not re.search(r"[!@][^| \n]+(?:>|&gt;)", shown)


def test_secrets_are_masked():
    message = make_message(event(reason="postgresql://ada:hunter2@db/x", command="curl http://a?token=hunter2"))
    assert "hunter2" not in message.text + message.html + message.markdown


def test_long_texts_are_cut():
    message = make_message(event(subject="x" * 10_000, reason="y" * 100_000))
    assert len(message.title) == 150
    assert len(message.text) < 1300


@given(st.text(max_size=200))
def test_any_text_is_text_in_html(text):
    tags = []

    class Parser(HTMLParser):
        def handle_starttag(self, tag, _attributes):
            tags.append(tag)

    parser = Parser()
    parser.feed(make_message(event(reason=text, subject=text, figures={"a": text}, command=text)).html)
    assert set(tags) <= {"p", "br", "b", "pre"}
