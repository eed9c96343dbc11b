"""Changes that nobody has reviewed run without credentials, and what CI takes from others is pinned."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from images.pins import find_images
from support.manifest_rendering import read_goldens

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
JENKINS = (ROOT / "Jenkinsfile").read_text()
# Commands that use credentials: of a registry or of a backend.
PRIVILEGED = re.compile(r"\bmake (?:images-push|publish)\b|\btiffin submit\b|docker login")


def gitlab_jobs() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())
    return {name: job for name, job in document.items() if isinstance(job, dict) and "script" in job}


class TestGithub:
    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_actions_are_pinned_by_their_commits(self, path: Path) -> None:
        used = re.findall(r"uses: (.*)", path.read_text())

        assert used
        for line in used:
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line), line

    def test_an_action_has_one_commit(self) -> None:
        used = {line for path in WORKFLOWS for line in re.findall(r"uses: (.*)", path.read_text())}

        assert len({line.partition("@")[0] for line in used}) == len(used)

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_a_pull_request_gets_no_credentials(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text())

        assert "pull_request_target" not in path.read_text()
        assert "workflow_run" not in path.read_text()
        assert document["permissions"] == {"contents": "read"}
        for name, job in document["jobs"].items():
            is_for_pushes = job.get("if") == "github.event_name == 'push'"
            # GitHub's own runners are new machines for every job.
            assert re.fullmatch(r"ubuntu-\d+\.04", job["runs-on"]), name
            if not is_for_pushes:
                assert not {"environment", "permissions", "secrets"} & job.keys(), name
                assert "secrets." not in str(job), name
                assert not PRIVILEGED.search(str(job)), name
                assert "login-action" not in str(job), name

    @pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
    def test_the_token_is_not_left_in_the_checkout(self, path: Path) -> None:
        steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
        checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]

        assert checkouts
        assert all(step["with"]["persist-credentials"] is False for step in checkouts)


class TestGitlab:
    def test_merge_requests_run_on_other_runners(self) -> None:
        tags: dict[bool, set[str]] = {True: set(), False: set()}
        for job in gitlab_jobs().values():
            is_reviewed = all("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH" in rule["if"] for rule in job["rules"])
            tags[is_reviewed] |= set(job.get("tags", []))

        assert tags[True]
        assert tags[False]
        assert not tags[True] & tags[False]

    def test_credentials_are_used_on_the_default_branch_only(self) -> None:
        privileged = {name: job for name, job in gitlab_jobs().items() if PRIVILEGED.search(str(job["script"]))}

        assert privileged.keys() == {"images", "release"}
        for name, job in privileged.items():
            assert all(rule["if"].startswith("$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH") for rule in job["rules"]), name


class TestJenkins:
    TEST, RELEASE = JENKINS.split("        stage('Release') {\n")

    def test_pull_requests_run_on_other_agents(self) -> None:
        assert re.search(r"^    agent none$", self.TEST, re.MULTILINE)
        labels = [set(re.findall(r"agent \{ label '(.*?)' \}", part)) for part in (self.TEST, self.RELEASE)]

        assert [len(found) for found in labels] == [1, 1]
        assert not labels[0] & labels[1]

    def test_a_pull_request_never_reaches_the_agent_of_a_release(self) -> None:
        when = self.RELEASE.partition("agent {")[0]

        assert "beforeAgent true" in when
        assert re.search(r"^ +branch 'main'$", when, re.MULTILINE)

    def test_credentials_are_used_by_a_release_only(self) -> None:
        assert not PRIVILEGED.search(self.TEST)
        assert "credentials('" not in self.TEST
        assert "credentials('" in self.RELEASE


def test_every_image_of_others_is_known_to_the_check_of_a_release() -> None:
    known = {image.name for image in find_images(ROOT)}
    used = {
        image.partition("@")[0]
        for resources in read_goldens().values()
        for text in resources.values()
        for image in re.findall(r"^ +image: (\S+)$", text, re.MULTILINE)
    }
    runner = yaml.safe_load((ROOT / ".gitlab-ci.yml").read_text())["default"]["image"].partition("@")[0]

    assert {name for name in used if not name.startswith("tiffin/")} | {runner} == known
