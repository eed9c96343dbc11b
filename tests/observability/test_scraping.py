import json
import subprocess

from support.debian import program
from support.prometheus import promtool
from tiffin.model_server.metrics import PATH
from tiffin.observability.scraping import ALERTMANAGER, JOBS, PROMETHEUS, TARGETS, make_configs, make_targets


def test_no_addresses():
    found = make_targets({})
    assert set(found) == {f"{job}.json" for job in JOBS}
    assert all(json.loads(content) == [{"targets": []}] for content in found.values())


def test_addresses():
    found = make_targets({"tiffin-servers": ["127.0.0.1:1", "127.0.0.1:2"]})
    assert json.loads(found["tiffin-servers.json"]) == [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}]


def test_the_path_of_the_model_servers():
    assert JOBS["tiffin-servers"] == PATH


def test_promtool_and_amtool_accept_the_files(tmp_path):
    for name, content in make_configs().items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / TARGETS).mkdir()
    for name, content in make_targets({"tiffin": ["127.0.0.1:1"]}).items():
        (tmp_path / TARGETS / name).write_bytes(content)
    status, printed = promtool("check", "config", tmp_path / PROMETHEUS)
    assert (status, "19 rules found" in printed) == (0, True), printed
    done = subprocess.run([program("amtool"), "check-config", tmp_path / ALERTMANAGER], capture_output=True, text=True)
    assert (done.returncode, " - 2 receivers" in done.stdout) == (0, True), done.stderr
