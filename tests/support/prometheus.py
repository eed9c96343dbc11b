"""Prometheus, Alertmanager and their tools, as Debian packages have them."""

import contextlib
import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from support.debian import program
from support.waiting import free_port, until


def promtool(*arguments: str | Path, content: bytes | None = None) -> tuple[int, str]:
    """Run promtool; return its exit status and what it printed.

    Args:
        *arguments: Arguments.
        content: Standard input.
    """
    done = subprocess.run(
        [program("promtool"), *arguments], input=content, capture_output=True, timeout=120, check=False
    )
    return done.returncode, (done.stdout + done.stderr).decode()


def run_rule_tests(folder: Path, rules: str, tests: Sequence[dict[str, Any]]) -> tuple[int, str]:
    """Run `promtool test rules`; return its exit status and what it printed.

    Args:
        folder: Folder for the files.
        rules: The rule file.
        tests: Tests, see https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules.
    """
    (folder / "rules.yml").write_text(rules)
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": list(tests)}
    (folder / "tests.yml").write_text(yaml.safe_dump(document, sort_keys=False))
    return promtool("test", "rules", folder / "tests.yml")


def ask(url: str) -> Any:
    """Return the JSON that a server answers; None while it does not."""
    try:
        with urllib.request.urlopen(url, timeout=20) as response:
            return json.load(response)
    except (OSError, urllib.error.HTTPError, json.JSONDecodeError):
        return None


def query(url: str, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the values of an instant query, by their labels without the name, the instance and the job."""
    found = ask(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
    left_out = ("__name__", "instance", "job")
    return {
        tuple(sorted((name, value) for name, value in one["metric"].items() if name not in left_out)): float(
            one["value"][1]
        )
        for one in (found["data"]["result"] if found else ())
    }


@contextlib.contextmanager
def running_prometheus(folder: Path) -> Iterator[str]:
    """Run a Prometheus by the file prometheus.yml of a folder; yield its URL."""
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with _running(command, folder / "prometheus.log"):
        url = f"http://127.0.0.1:{port}"
        assert until(lambda: ask(f"{url}/api/v1/status/buildinfo") is not None), (folder / "prometheus.log").read_text()
        yield url


@contextlib.contextmanager
def running_alertmanager(folder: Path, port: int) -> Iterator[str]:
    """Run an Alertmanager by the file alertmanager.yml of a folder; yield its URL."""
    command = [
        _movable_alertmanager(folder),
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _running(command, folder / "alertmanager.log", folder):
        url = f"http://127.0.0.1:{port}"
        assert until(lambda: ask(f"{url}/api/v2/status") is not None), (folder / "alertmanager.log").read_text()
        yield url


def _movable_alertmanager(folder: Path) -> Path:
    """Return an Alertmanager that runs in a folder.

    Debian's reads its texts from a fixed path, which is there only where the package is installed. A copy gets a path of the
    same length that is the folder.
    """
    found, texts = program("prometheus-alertmanager"), "/usr/share/prometheus/alertmanager"
    source = found.parents[2] / texts[1:]
    if Path(texts).exists() or not source.exists():
        return found
    for path in source.glob("*.tmpl"):
        shutil.copy(path, folder)
    copy = folder / "movable-alertmanager"
    copy.write_bytes(found.read_bytes().replace(texts.encode(), f".{'/' * (len(texts) - 2)}.".encode()))
    copy.chmod(0o755)
    return copy


@contextlib.contextmanager
def _running(command: Sequence[str | Path], log: Path, folder: Path | None = None) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder)
    try:
        yield
    finally:
        process.kill()
        process.wait()
