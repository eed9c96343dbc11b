"""The command lines in the configuration files of CI servers and schedulers.

Those that compile, compare, publish and submit are run, with the settings of the files, against a backend in a separate
process. `make check`, the tests and the images are dry-run only: CI runs them anyway, and a second time would take an hour;
tests/images/engine tests building, pushing and pinning.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from images import builder
from support import airflow_stand_in, kfp_backend
from support.manifest_rendering import render
from tiffin.kubeflow.cron import read_cron

ROOT = Path(__file__).parents[2]
SCHEDULES = ROOT / "pipelines" / "schedules"
SERVERS = (ROOT / ".github" / "workflows" / "ci.yml", ROOT / ".gitlab-ci.yml", ROOT / "Jenkinsfile")
NEWEST = ROOT / ".github" / "workflows" / "newest.yml"
NIGHTLY = (SCHEDULES / "airflow_dag.py", SCHEDULES / "crontab")
# In the order of their lines.
PIPELINES = ("training", "monitoring")
# Targets that take seconds and use no network.
CHEAP = ("compile", "diff-specs")


def commands(path: Path) -> list[str]:
    """Return the command lines of a file, in order."""
    text = path.read_text()
    if path.name == "crontab":
        lines = [line for line in text.splitlines() if not re.match(r"#|\w+=", line)]
        return [line.split(maxsplit=5)[5] for line in lines]
    if path.name == "Jenkinsfile":
        found = re.findall(r"^ *(?:steps \{ )?sh '([^']+)'(?: \})?$", text, re.MULTILINE)
        assert len(found) == len(re.findall(r"\b(?:sh|bat|powershell)\b", text))
        return found
    if path.suffix == ".py":
        return [task.bash_command for dag in airflow_stand_in.load(path).values() for task in dag.tasks]
    document = yaml.safe_load(text)
    if path.name == ".gitlab-ci.yml":
        return [line for job in document.values() if isinstance(job, dict) for line in job.get("script", [])]
    return [step["run"] for job in document["jobs"].values() for step in job["steps"] if "run" in step]


def settings(path: Path) -> dict[str, str]:
    """Return the variables that a file sets for the command that submits."""
    text = path.read_text()
    if path.name == "crontab":
        found = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    elif path.name == "Jenkinsfile":
        found = dict(re.findall(r"^ +(\w+) = '(.*)'$", text, re.MULTILINE))
    elif path.name == ".gitlab-ci.yml":
        found = yaml.safe_load(text)["release"]["variables"]
    else:
        job = yaml.safe_load(text)["jobs"]["release"]
        found = job["env"] | job["steps"][-1]["env"]
    return {name: value for name, value in found.items() if "${{" not in value}


LINES = [(path, line) for path in (*SERVERS, NEWEST, *NIGHTLY) for line in commands(path)]
RUN = re.findall(r"^make [a-z-]+", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
TARGETS = sorted(
    {line.removeprefix("make ") for line in [*RUN, *(line for _, line in LINES)] if line.startswith("make ")}
)


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.name)
def test_a_server_runs_all_steps(path: Path) -> None:
    steps = [line.removeprefix("make ") for line in commands(path)]
    if path.parent.name != "workflows":  # GitHub runs it in a workflow of its own, newest.yml
        steps.remove("test-newest")

    assert steps[:-1] == [
        "check", "test", "test-runs", "test-notebooks", "docs", "compile", "diff-specs", "test-images",
        "check-pins", "images", "images-push", "images-digest", "compile", "publish",
    ]  # fmt: skip
    assert shlex.split(steps[-1])[:3] == [".venvs/sdk/bin/tiffin", "submit", "training"]


class TestNewest:
    """Each server tests the newest packages on a schedule, and nothing else then."""

    @pytest.mark.parametrize("path", [NEWEST, *SERVERS[1:]], ids=lambda path: path.name)
    def test_is_run_and_its_packages_are_kept(self, path: Path) -> None:
        assert commands(path).count("make test-newest") == 1
        assert ".venvs/newest/*.txt" in path.read_text()

    def test_on_github(self) -> None:
        document = yaml.safe_load(NEWEST.read_text())
        [schedule] = document[True]["schedule"]  # YAML 1.1 reads `on` as true

        assert commands(NEWEST) == ["make test-newest"]
        assert read_cron(schedule["cron"])

    def test_on_gitlab(self) -> None:
        document = yaml.safe_load(SERVERS[1].read_text())
        rules = {
            name: [rule["if"] for rule in job["rules"]]
            for name, job in document.items()
            if isinstance(job, dict) and "script" in job
        }

        assert {"if": "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"} in document["workflow"]["rules"]
        assert rules.pop("test-newest") == ['$CI_PIPELINE_SOURCE == "schedule"']
        assert rules
        for name, [rule] in rules.items():
            assert rule.endswith('$CI_PIPELINE_SOURCE != "schedule"'), name

    def test_on_jenkins(self) -> None:
        text = SERVERS[2].read_text()
        stages = dict(re.findall(r"^ +stage\('(.*?)'\) \{\n(.*?)(?=^ +stage\(|\Z)", text, re.MULTILINE | re.DOTALL))

        assert re.search(r"^    triggers \{ cron\(.*'H 4 \* \* 1'", text, re.MULTILINE)
        assert re.match(r" +when \{ triggeredBy 'TimerTrigger' \}\n", stages["Test newest"])
        assert "not { triggeredBy 'TimerTrigger' }" in stages["Release"]


def test_every_line_is_a_make_target_or_a_tiffin_command() -> None:
    assert {path for path, _ in LINES} == {*SERVERS, NEWEST, *NIGHTLY}
    for path, line in LINES:
        assert re.fullmatch(r"make [a-z-]+|(\S*/)?tiffin [\w ./:=-]+", line), f"{path.name}: {line}"


@pytest.mark.parametrize("target", TARGETS)
def test_make_has_the_target(target: str) -> None:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE), "`make help` should list it"


def test_the_cheap_targets_run() -> None:
    assert set(CHEAP) <= set(TARGETS)
    for target in CHEAP:
        done = subprocess.run(["make", target], cwd=ROOT, capture_output=True, text=True)
        # diff-specs fails in a shallow clone, in which this test may run.
        assert done.returncode == 0 or "--unshallow --tags" in done.stderr, done.stderr


@pytest.fixture
def backend() -> Iterator[kfp_backend.Server]:
    with kfp_backend.serve() as server:
        server.set(multi_user=True, token="secret")
        yield server


@pytest.fixture
def given(backend: kfp_backend.Server, tmp_path: Path) -> dict[str, str]:
    """Environment variables that a server or a machine with cron sets in addition to those of the file."""
    digests = tmp_path / "digests.json"
    digests.write_text(json.dumps(dict.fromkeys(builder.image_names().values(), f"sha256:{'0' * 64}")))
    return {
        "PATH": f"{ROOT}/.venvs/sdk/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "KF_PIPELINES_ENDPOINT": backend.address,
        "TIFFIN_NAMESPACE": "team-a",
        "TIFFIN_IMAGE_DIGESTS": str(digests),
    }


def check_submission(backend: kfp_backend.Server, pipeline: str = "training") -> None:
    """Check that a backend got one run of one version, whose steps have the folders that servers and gateway have."""
    state = backend.state()
    [run] = state["runs"].values()
    # All pipelines are published.
    [version] = [version for version in state["versions"].values() if version["name"].startswith(pipeline)]
    parameters = yaml.safe_load((SCHEDULES / f"{pipeline}.yaml").read_text())
    assert run["runtime_config"]["parameters"].items() >= parameters.items()
    for overlay in ("local", "kubeflow"):
        resources = render(overlay)
        settings = yaml.safe_load(resources["ConfigMap/tiffin"])["data"]
        for step, roots in ROOTS[pipeline].items():
            claims = mounts_of(state["specs"][version["name"]], step)
            assert list(claims) == [settings[root] for root in roots]
            assert all(f"PersistentVolumeClaim/{claim}" in resources for claim in claims.values())
        assert f"ServiceAccount/{run['service_account']}" in resources


# Pipeline to its steps with the settings whose folders they need.
ROOTS = {
    "training": {"deploy-model": ["TIFFIN_SERVING_ROOT"]},
    "monitoring": {
        "find-reference": ["TIFFIN_SERVING_ROOT", "TIFFIN_LOG_ROOT"],
        "monitor-model": ["TIFFIN_LOG_ROOT"],
    },
}


def mounts_of(spec: str, step: str) -> dict[str, str]:
    """Return mount path -> claim of the volumes of a step."""
    executors = list(yaml.safe_load_all(spec))[1]["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    return {one["mountPath"]: one["constant"] for one in executors[f"exec-{step}"].get("pvcMount", [])}


@pytest.mark.parametrize("path", SERVERS, ids=lambda path: path.name)
def test_a_server_publishes_and_submits_one_version(
    backend: kfp_backend.Server, given: dict[str, str], path: Path
) -> None:
    environment = settings(path) | given | {"TIFFIN_KFP_TOKEN": "secret"}
    for line in commands(path)[-2:]:
        done = subprocess.run(shlex.split(line), cwd=ROOT, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    check_submission(backend)


@pytest.mark.parametrize("place", range(2), ids=PIPELINES)
def test_cron_submits(backend: kfp_backend.Server, given: dict[str, str], tmp_path: Path, place: int) -> None:
    token = tmp_path / "token"
    token.write_text("secret")
    line = commands(NIGHTLY[1])[place]
    assert len(commands(NIGHTLY[1])) == len(PIPELINES)
    line = line.replace("/opt/tiffin", str(ROOT)).replace("/etc/tiffin/token", str(token))
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, env=settings(NIGHTLY[1]) | given, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    check_submission(backend, PIPELINES[place])


class TestAirflow:
    @pytest.fixture
    def tasks(self, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, airflow_stand_in.BashOperator]:
        """The task of each pipeline."""
        for name, value in (given | {"TIFFIN_KFP_TOKEN": "secret"}).items():
            monkeypatch.setenv(name, value)
        dags = airflow_stand_in.load(NIGHTLY[0])
        assert list(dags) == [f"tiffin_{pipeline}" for pipeline in PIPELINES]
        return {pipeline: dags[f"tiffin_{pipeline}"].tasks[0] for pipeline in PIPELINES}

    @pytest.fixture
    def task(self, tasks: dict[str, airflow_stand_in.BashOperator]) -> airflow_stand_in.BashOperator:
        return tasks["training"]

    @pytest.mark.parametrize("pipeline", PIPELINES)
    def test_submits(
        self, backend: kfp_backend.Server, tasks: dict[str, airflow_stand_in.BashOperator], pipeline: str
    ) -> None:
        tasks[pipeline].execute()

        check_submission(backend, pipeline)

    def test_skips_a_run_that_a_gate_stopped(
        self, backend: kfp_backend.Server, task: airflow_stand_in.BashOperator
    ) -> None:
        backend.set(pictures=[{"state": "FAILED", "tasks": {"validate-examples": "SUCCEEDED", "stop-run-3": "FAILED"}}])

        with pytest.raises(airflow_stand_in.AirflowSkipException):
            task.execute()

    def test_fails_with_the_run(self, backend: kfp_backend.Server, task: airflow_stand_in.BashOperator) -> None:
        backend.set(pictures=[{"state": "FAILED", "tasks": {"ingest-examples": "FAILED"}}])

        with pytest.raises(airflow_stand_in.AirflowException):
            task.execute()

    def test_waits_longer_than_the_command(self, tasks: dict[str, airflow_stand_in.BashOperator]) -> None:
        for task in tasks.values():
            words = shlex.split(task.bash_command)
            assert task.execution_timeout
            assert task.execution_timeout.total_seconds() > int(words[words.index("--timeout") + 1])


def test_the_schedules_are_valid_cron_lines() -> None:
    lines = [line for line in NIGHTLY[1].read_text().splitlines() if "tiffin submit" in line]
    dags = airflow_stand_in.load(NIGHTLY[0]).values()

    for line, dag, expected in zip(lines, dags, ("0 0 3 * * *", "0 15 * * * *"), strict=True):
        assert read_cron(" ".join(line.split()[:5])) == read_cron(dag.schedule) == expected
        assert "%" not in line, "cron would end the command there"


@pytest.mark.parametrize(
    ("path", "schema"), [(SERVERS[0], "github-workflows"), (NEWEST, "github-workflows"), (SERVERS[1], "gitlab-ci")]
)
def test_a_file_follows_its_servers_schema(path: Path, schema: str) -> None:
    done = subprocess.run(
        [ROOT / ".venvs/dev/bin/check-jsonschema", "--builtin-schema", f"vendor.{schema}", path],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_the_files_contain_no_secrets() -> None:
    for path in (*SERVERS, *NIGHTLY, *(SCHEDULES / f"{name}.yaml" for name in PIPELINES)):
        for name, value in re.findall(r"(\w*(?:TOKEN|PASSWORD|SECRET)\w*)\s*[:=]\s*(\S.*)", path.read_text(), re.I):
            assert re.match(r"\$\{\{ secrets\.|credentials\(", value), f"{path.name}: {name}"


def test_schedules_are_not_pipelines() -> None:
    from tiffin.authoring.compilation import pipeline_names

    assert "schedules" not in pipeline_names()
    assert not (SCHEDULES / "__init__.py").exists()
