"""Addresses: which are taken, which are refused, and that none shows its secrets."""

import pytest

from tiffin.errors import InputError
from tiffin.notifications.addresses import check_notify_to, choose_addresses, read_addresses

SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#general"


def test_no_addresses():
    check_notify_to([])
    assert choose_addresses([]) == []
    assert read_addresses("\n# comment\n; another\n") == []


def test_all_lines_of_the_variable(monkeypatch):
    monkeypatch.setenv("TIFFIN_NOTIFY", f"ops, dev = json://127.0.0.1:8000/a\n{SLACK}\nops=json://127.0.0.1:8000/b")
    found = choose_addresses([])
    assert [one.tags for one in found] == [("ops", "dev"), (), ("ops",)]
    assert [one.name for one in found] == [
        "ops, dev (json://127.0.0.1:8000/…)",
        "slack://…",
        "ops (json://127.0.0.1:8000/…)",
    ]
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in repr(found)


def test_a_tag_selects_its_lines(monkeypatch):
    monkeypatch.setenv("TIFFIN_NOTIFY", "ops=json://a/1\nops=json://a/2\ndev=json://b")
    assert [one.url for one in choose_addresses(["ops", "ops"])] == ["json://a/1", "json://a/2"]
    assert [one.name for one in choose_addresses(["ops"])] == ["ops (json://a/…)", "ops (json://a/…) #2"]


def test_a_url_without_secrets_needs_no_variable():
    url = "mailto://smtp.example:2525/?from=tiffin%40example.com&to=ops%40example.com"
    assert [(one.name, one.url) for one in choose_addresses([url])] == [("mailto://smtp.example:2525/…", url)]


@pytest.mark.parametrize(
    ("to", "rule"),
    [
        (["nonsense://x"], "scheme.*nonsense"),
        (["jsn://x"], "'json'"),
        (["mailto://smtp.example"], "parts.*mailto"),
        (["syslog://"], "machine.*Pass"),
        (["SYSLOG://"], "machine.*Pass"),
        (["dbus://"], "machine.*Pass"),
        (["json://user:hunter2@host"], "TIFFIN_NOTIFY.*secret"),
        (["json://host/?token=hunter2"], "TIFFIN_NOTIFY.*secret"),
        (["json://host/?+Authorization=hunter2"], "TIFFIN_NOTIFY.*secret"),
        (["json://host/?%2BX-Key=hunter2"], "TIFFIN_NOTIFY.*secret"),
        ([SLACK], "TIFFIN_NOTIFY.*secret"),
        (["mailto://smtp.example?from=a@b.c&to=d@e.f"], "%40"),
        (["fcm://project@key/dev?keyfile=/etc/passwd"], "setting"),
        (["mailto://u.example?from=a%40b.c&pgppub=/etc/passwd"], "setting"),
        ([""], "texts"),
        ([3], "texts"),
        (["two words"], "tags"),
        (["ops\njson://x"], "tags"),
    ],
)
def test_a_wrong_parameter_is_refused(to, rule):
    with pytest.raises(InputError, match=rule) as caught:
        check_notify_to(to)
    assert "hunter2" not in str(caught.value)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(caught.value)


def test_a_tag_is_checked_where_the_variable_is_set(monkeypatch):
    check_notify_to(["opps"])
    monkeypatch.setenv("TIFFIN_NOTIFY", "ops=json://a")
    with pytest.raises(InputError, match="'ops'"):
        check_notify_to(["opps"])


def test_a_tag_without_the_variable_has_no_address():
    with pytest.raises(InputError, match=r"TIFFIN_NOTIFY.*secret"):
        choose_addresses(["ops"])


@pytest.mark.parametrize(
    "line", ["include https://evil/config", "hunter2", "ops=", "=hunter2", "o!ps=json://hunter2", "group=ops,dev"]
)
def test_a_wrong_line_is_named_by_its_number(line):
    with pytest.raises(InputError, match=r"^Line 2 of TIFFIN_NOTIFY") as caught:
        read_addresses(f"json://a\n{line}")
    assert "hunter2" not in str(caught.value)


def test_a_secret_in_a_wrong_url_is_not_shown():
    with pytest.raises(InputError) as caught:
        read_addresses("mailtos://ada:hunter2@host?to=hunter2")
    assert "hunter2" not in str(caught.value)


def test_apprise_logs_nothing_to_standard_error(capfd):
    for line in ("mailtos://ada:hunter2@host?to=!", "slack://hunter2"):
        with pytest.raises(InputError):
            read_addresses(line)
    assert capfd.readouterr() == ("", "")
