"""Messages at real servers: mail, webhooks, and those that are down, slow or answer with an error."""

import subprocess
import sys
import time

import pytest

from support.receivers import webhook
from tiffin.notifications.addresses import Address
from tiffin.notifications.events import Event
from tiffin.notifications.messages import make_message, make_test
from tiffin.notifications.sending import send


def to(server, name="a", path="/hook", scheme="json"):
    return Address(name, f"{scheme}://{server.address}{path}")


def test_nobody():
    assert send(make_test(), []) == []


def test_a_webhook_gets_the_text(hook):
    message = make_message(Event("failure", "training", "It is <bad> & \u00e4"))
    assert [one.problem for one in send(message, [to(hook)])] == [""]
    [body] = hook.bodies
    assert (body["title"], body["message"], body["type"]) == (
        "Tiffin: training failed",
        "It is <bad> & \u00e4",
        "failure",
    )


def test_a_mail_has_one_subject_and_one_recipient(mail):
    event = Event(
        "failure", "m\r\nBcc: all@example.com\r\n\r\nbody", "<b>bad</b>\r\n.\r\nQUIT", command="tiffin report r"
    )
    address = Address("mail", f"mailto://{mail.address}/?from=tiffin@example.com&to=ops@example.com")
    assert [one.problem for one in send(make_message(event), [address])] == [""]
    [one] = mail.mails
    assert (one["to"], one["from"], one["bcc"]) == ("ops@example.com", "tiffin@example.com", None)
    assert one["subject"] == "Tiffin: m\\r\\nBcc: all@example.com\\r\\n\\r\\nbody failed"
    assert "&lt;b&gt;bad&lt;/b&gt;" in one.get_body(("html",)).get_content()
    assert "<b>bad</b>" in one.get_body(("plain",)).get_content()


def test_each_address_has_its_own_result(hook, mail):
    mail.status = 550
    addresses = [
        to(hook, "good"),
        Address("down", "json://127.0.0.1:1/x"),
        Address("mail", f"mailto://{mail.address}/?from=a@example.com&to=b@example.com"),
        Address("wrong", "nonsense://x"),
    ]
    found = {one.address: one.problem for one in send(make_test(), addresses)}
    assert found["good"] == ""
    assert "reached" in found["down"]
    assert found["mail"]
    assert "unknown scheme" in found["wrong"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_the_status_of_a_refusal_is_told(hook, status):
    hook.status = status
    [found] = send(make_test(), [to(hook)])
    assert str(status) in found.problem


def test_a_slow_server_delays_no_other(hook):
    with webhook() as slow:
        slow.delay_seconds = 3
        found = send(make_test(), [to(slow, "slow"), to(hook, "fast")], timeout=1)
    assert [(one.address, bool(one.problem)) for one in found] == [("slow", True), ("fast", False)]
    assert "1 s" in found[0].problem


def test_a_process_does_not_wait_for_a_server_that_never_answers(hook):
    hook.delay_seconds = 3.5
    code = (
        "from tiffin.notifications.addresses import Address; from tiffin.notifications.messages import make_test\n"
        "from tiffin.notifications.sending import send\n"
        f"print(send(make_test(), [Address('a', 'json://{hook.address}/x?rto=60')], timeout=0.5)[0].problem)"
    )
    started = time.monotonic()
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert "0.5 s" in done.stdout
    assert done.stderr == ""
    assert time.monotonic() - started < 60


def test_a_problem_shows_no_secret(capfd):
    [found] = send(make_test(), [Address("a", "json://ada:hunter2-hunter2@127.0.0.1:1/token-of-a-hook")])
    assert "hunter2" not in found.problem
    assert "token-of-a-hook" not in found.problem
    assert capfd.readouterr() == ("", "")
