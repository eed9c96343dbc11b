"""The command lines in the files of CI servers and schedulers: read out of the files, then run, or dry-run by make."""

import ast
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import kfp_backend
from tiffin.kubeflow.cron import read_cron

ROOT = Path(__file__).parents[2]
SCHEDULES = ROOT / "pipelines" / "schedules"
SERVERS = (ROOT / ".github" / "workflows" / "ci.yml", ROOT / ".gitlab-ci.yml", ROOT / "Jenkinsfile")
NIGHTLY = (SCHEDULES / "airflow_dag.py", SCHEDULES / "crontab")
# Seconds, and nothing is sent or downloaded. The others are dry-run.
CHEAP = ("compile", "diff-specs")


def commands(path: Path) -> list[str]:
    """Return the command lines of a file, in its order."""
    text = path.read_text()
    if path.name == "crontab":
        lines = [line for line in text.splitlines() if not re.match(r"#|\w+=", line)]
        return [line.split(maxsplit=5)[5] for line in lines]
    if path.name == "Jenkinsfile":
        found = re.findall(r"^ *(?:steps \{ )?sh '([^']+)'(?: \})?$", text, re.MULTILINE)
        assert len(found) == len(re.findall(r"\b(?:sh|bat|powershell)\b", text))
        return found
    if path.suffix == ".py":
        keywords = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.keyword))
        return [ast.literal_eval(keyword.value) for keyword in keywords if keyword.arg == "bash_command"]
    document = yaml.safe_load(text)
    if path.name == ".gitlab-ci.yml":
        return [line for job in document.values() if isinstance(job, dict) for line in job.get("script", [])]
    return [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]


LINES = [(path, line) for path in (*SERVERS, *NIGHTLY) for line in commands(path)]
TARGETS = sorted({line.removeprefix("make ") for _, line in LINES if line.startswith("make ")})
# Line -> the folder it is run in: its own for Airflow and cron.
SUBMISSIONS = {line: SCHEDULES if path in NIGHTLY else ROOT for path, line in LINES if not line.startswith("make ")}


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.name)
def test_a_server_goes_all_the_way(path: Path) -> None:
    steps = [line.removeprefix("make ") for line in commands(path)]

    assert steps[:-1] == [
        "check", "test", "test-notebooks", "compile", "diff-specs",
        "images", "images-push", "images-digest", "compile", "publish",
    ]  # fmt: skip
    assert steps[-1].startswith(".venvs/sdk/bin/tiffin submit training ")


def test_every_line_is_a_make_target_or_a_tiffin_command() -> None:
    assert {path for path, _ in LINES} == {*SERVERS, *NIGHTLY}
    for path, line in LINES:
        assert re.fullmatch(r"make [a-z-]+|(\S*/)?tiffin [\w ./:=-]+", line), f"{path.name}: {line}"


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_what_to_do(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), "`make help` should list it"


def test_the_cheap_targets_run() -> None:
    assert set(CHEAP) <= set(TARGETS)
    for target in CHEAP:
        done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True)
        # What is cut off is the history of a shallow clone, in which this test may run.
        assert done.returncode == 0 or "The history is cut off" in done.stderr, done.stderr


@pytest.fixture(scope="module")
def backend() -> Iterator[kfp_backend.Server]:
    with kfp_backend.serve() as server:
        server.set(multi_user=True, token="secret")
        yield server


@pytest.mark.parametrize("line", SUBMISSIONS)
def test_a_submission_is_taken_by_a_backend(backend: kfp_backend.Server, tmp_path: Path, line: str) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    folder = SUBMISSIONS[line]
    line = line.replace("/opt/tiffin", str(ROOT)).replace("/etc/tiffin/token", str(token))
    before = backend.state()["runs"]
    environment = {
        "PATH": f"{ROOT}/.venvs/sdk/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KF_PIPELINES_ENDPOINT": backend.address,
        "TIFFIN_NAMESPACE": "team-a",
    } | ({} if "--token-file" in line else {"TIFFIN_KFP_TOKEN": "secret"})

    done = subprocess.run(shlex.split(line), cwd=folder, env=environment, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    runs = [run for key, run in backend.state()["runs"].items() if key not in before]
    parameters = yaml.safe_load((SCHEDULES / "training.yaml").read_text())
    assert len(runs) == 1
    assert runs[0]["runtime_config"]["parameters"].items() >= parameters.items()


def test_the_nights_are_cron_lines() -> None:
    line = next(line for line in NIGHTLY[1].read_text().splitlines() if "tiffin submit" in line)
    dag = re.search(r'schedule="([^"]+)"', NIGHTLY[0].read_text())

    assert dag
    assert read_cron(" ".join(line.split()[:5])) == read_cron(dag.group(1)) == "0 0 3 * * *"
    assert "%" not in line, "cron would end the command there"


@pytest.mark.parametrize(("path", "schema"), [(SERVERS[0], "github-workflows"), (SERVERS[1], "gitlab-ci")])
def test_a_file_follows_its_servers_schema(path: Path, schema: str) -> None:
    done = subprocess.run(
        [ROOT / ".venvs/dev/bin/check-jsonschema", "--builtin-schema", f"vendor.{schema}", path],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_no_secret_is_in_them() -> None:
    for path in (*SERVERS, *NIGHTLY, SCHEDULES / "training.yaml"):
        for name, value in re.findall(r"(\w*(?:TOKEN|PASSWORD|SECRET)\w*)\s*[:=]\s*(\S.*)", path.read_text(), re.I):
            assert re.match(r"\$\{\{ secrets\.|credentials\(", value), f"{path.name}: {name}"


def test_schedules_are_no_pipelines() -> None:
    from tiffin.compilation import pipeline_names

    assert "schedules" not in pipeline_names()
    assert not (SCHEDULES / "__init__.py").exists()
