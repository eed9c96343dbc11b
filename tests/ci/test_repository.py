"""The files of the repository for tools outside of it: licence, pre-commit and the dev container."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from images.builder import BASE

ROOT = Path(__file__).parents[2]


def test_the_licence_is_that_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    text = " ".join((ROOT / "LICENSE").read_text().split())

    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE"]
    assert text.startswith("Apache License Version 2.0, January 2004")
    assert "END OF TERMS AND CONDITIONS" in text


def test_the_hooks_are_those_of_make_check() -> None:
    [source] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    done = subprocess.run(["make", "--dry-run", "check"], cwd=ROOT, capture_output=True, text=True, check=True)
    tools = [line for line in done.stdout.splitlines() if re.match(r"\.venvs/dev/bin/(?!python)", line)]

    assert source["repo"] == "local"
    assert [hook["entry"] for hook in source["hooks"]] == tools
    for hook in source["hooks"]:
        assert hook.keys() == {"id", "name", "entry", "language", "pass_filenames", "always_run"}
        assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


def test_the_dev_container_is_set_up_by_make() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())

    assert container.keys() == {"name", "image", "postCreateCommand", "remoteEnv", "forwardPorts", "hostRequirements"}
    # The image of devcontainers has make and git; the plain one of Python has neither. Python and Debian are the images'.
    tag = BASE.rpartition(":")[2].replace("-slim", "")
    assert re.fullmatch(rf"[\w.]+/devcontainers/python:{re.escape(tag)}", container["image"])
    program, target = container["postCreateCommand"].split()
    assert program == "make"
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    [environment] = re.findall(r"\.venvs/(\w+)/bin", container["remoteEnv"]["PATH"])
    made = subprocess.run(
        ["make", "--dry-run", "-B", target], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert f"locks/sync.py {environment}\n" in made
    assert all(isinstance(port, int) for port in container["forwardPorts"])
