"""What is around a model in production on this machine: gateway, metrics page, Prometheus, and a webhook."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from tiffin.errors import TiffinError
from tiffin.local import gateway
from tiffin.local.life.inbox import Inbox
from tiffin.local.observability import find_targets
from tiffin.local.ports import find_port
from tiffin.local.programs import wait_until_open
from tiffin.observability import scraping
from tiffin.storage.files import write_bytes

_LOCAL = "127.0.0.1"
# Files of the prediction log are complete after this time, so that nobody waits for a minute.
_LOG_SECONDS = 2
_SCRAPE = "2s"
_START_SECONDS = 60.0


def tiffin(*arguments: str) -> list[str]:
    """Return the command that runs tiffin as this process does."""
    return [sys.executable, "-c", "from tiffin.commands import start; start()", *arguments]


@dataclass(frozen=True)
class Surroundings:
    """What runs.

    Attributes:
        address: `host:port` of the gateway.
        prometheus: URL of Prometheus; empty if there is none on PATH.
        variables: Environment variables of the commands.
    """

    address: str
    prometheus: str
    variables: Mapping[str, str]


@contextlib.contextmanager
def running(state: Path, folder: Path, inbox: Inbox) -> Iterator[Surroundings]:
    """Run a gateway, the page of metrics and, if it is installed, Prometheus during the block.

    Args:
        state: The state folder.
        folder: Folder for the files and logs of Prometheus.
        inbox: The webhook.

    Raises:
        TiffinError: One of them does not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables = {**os.environ, "TIFFIN_NOTIFY": f"loop=json://{inbox.address}/notify"}
    with contextlib.ExitStack() as stack:
        with gateway.starting_gateway(str(state), _LOCAL, find_port(_LOCAL, 0)) as (server, locks):
            if not locks:
                raise TiffinError(
                    f"A gateway of '{state}' is running. Stop it with: tiffin gateway --stop --state {state}"
                )
            gateway.spawn(server, locks, _LOCAL, ["--record-all", f"--log-seconds={_LOG_SECONDS}"])
        stack.callback(gateway.stop_gateway, str(state))
        wait_until_open(server)
        page = find_port(_LOCAL, 0)
        command = tiffin("monitor", "metrics", "--serve", f"--port={page}", f"--state={state}")
        stack.enter_context(_process(command, folder / "metrics.log", variables))
        prometheus = ""
        if program := shutil.which("prometheus"):
            port = find_port(_LOCAL, 0)
            _configure(folder, state, page, inbox.address)
            command = [program, f"--config.file={folder / scraping.PROMETHEUS}", f"--storage.tsdb.path={folder / 'data'}",
                       f"--web.listen-address={_LOCAL}:{port}"]  # fmt: skip
            stack.enter_context(_process(command, folder / "prometheus.log", variables))
            prometheus = f"http://{_LOCAL}:{port}"
        yield Surroundings(server.address, prometheus, variables)


def _configure(folder: Path, state: Path, page: int, webhook: str) -> None:
    """Write the files of Prometheus, with rules that fire at once: nobody waits for minutes here."""
    _wait_for_parts(state)
    targets = {"tiffin": [f"{_LOCAL}:{page}"], **find_targets(state)}
    for name, content in scraping.make_targets(targets).items():
        write_bytes(folder / scraping.TARGETS / name, content)
    configs = scraping.make_configs(webhook, _SCRAPE)
    rules = yaml.safe_load(configs[scraping.RULES])
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "0s"
    configs[scraping.RULES] = yaml.safe_dump(rules, sort_keys=False).encode()
    for name in (scraping.PROMETHEUS, scraping.RULES):
        write_bytes(folder / name, configs[name])


def _wait_for_parts(state: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while gateway.read_status(state) is None:
        if time.monotonic() > end:
            raise TiffinError(
                f"The gateway of '{state}' did not start within {_START_SECONDS:g} s. See {state}/gateway."
            )
        time.sleep(0.1)


@contextlib.contextmanager
def _process(command: Sequence[str], log: Path, variables: Mapping[str, str]) -> Iterator[None]:
    """Run a program during the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=variables)
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
