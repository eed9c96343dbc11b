"""`tiffin notify`, and addresses of runs."""

import re

import pytest
from click.testing import CliRunner

from support.receivers import webhook
from tiffin.commands.main import main
from tiffin.errors import InputError


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


def notify(*arguments):
    return CliRunner().invoke(main, ["notify", *arguments])


def test_nobody_to_notify():
    assert notify().exit_code == 2


def test_the_result_of_each_address(hook, monkeypatch):
    monkeypatch.setenv("TIFFIN_NOTIFY", f"ops=json://{hook.address}/hook\ndev=json://127.0.0.1:1/hook")
    one = notify("--to", "ops", "--message", "hello")
    assert one.exit_code == 0
    assert f"ops (json://{hook.address}/…)" in one.output
    assert hook.bodies[0]["message"] == "hello"
    both = notify()
    assert both.exit_code == 1
    assert [re.search(r"(\w+) \(json", line)[1] for line in both.output.splitlines()] == ["ops", "dev"]


@pytest.mark.parametrize("to", ["nonsense", "jsn://a", "json://ada:hunter2@host"])
def test_a_wrong_address(to):
    found = notify("--to", to)
    assert found.exit_code == 2
    assert "hunter2" not in found.output


@pytest.mark.parametrize("setting", ['notify_to=["nonsense"]', 'notify_to=["json://u:p@h"]', 'notify_on=["drifed"]'])
def test_a_run_with_a_wrong_address_does_not_start(setting, tmp_path):
    command = ["run", "training", "--set", "data=x.csv", "--set", setting, "--state", str(tmp_path / "state")]
    found = CliRunner().invoke(main, command)
    assert found.exit_code == 2
    assert setting.partition("=")[0] in found.output
    assert not list((tmp_path / "state" / "runs").glob("*/logs/*.log"))


def test_addresses_of_a_pipeline(monkeypatch):
    from tiffin.authoring.compilation import compile_pipeline
    from tiffin.specs.notifications import check_addresses, unchecked_tags
    from tiffin.specs.spec import read_spec

    spec = read_spec("monitoring", compile_pipeline("monitoring"))
    assert unchecked_tags(spec, {}) == []
    check_addresses(spec, {})
    assert len(unchecked_tags(spec, {"notify_to": ["ops", "json://a"]})) == 1
    with pytest.raises(InputError, match="'ops'"):
        check_addresses(spec, {"notify_to": ["ops"]})
    monkeypatch.setenv("TIFFIN_NOTIFY", "ops=json://a")
    check_addresses(spec, {"notify_to": ["ops"]})
    assert unchecked_tags(spec, {"notify_to": ["ops"]}) == []
