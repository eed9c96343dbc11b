"""The version compared with the newest release: the newest tag v*, whose goldens contain the released interfaces."""

import json
import subprocess
from pathlib import Path

import pytest

import tiffin
from tiffin.authoring.compilation import compile_component
from tiffin.specs.changes import find_shortfall
from tiffin.specs.interfaces import read_interface
from tiffin.stages import find_components

ROOT = Path(__file__).parents[2]
GOLDENS = "tests/goldens/interfaces"


def git(repository, *arguments):
    # Git refuses a checkout of another user without safe.directory.
    options = (
        "-c",
        "safe.directory=*",
        "-c",
        "user.name=a",
        "-c",
        "user.email=a@example.com",
        "-c",
        "commit.gpgsign=false",
    )
    return subprocess.run(
        ["git", *options, *arguments], cwd=repository, capture_output=True, text=True, check=True
    ).stdout


def newest_release(repository):
    """Return version and interfaces of the newest release.

    The test is skipped, with the reason, if the newest release is unknown:

    - A source tarball has no history.
    - A clone has no tag v* before the first release, or if tags were not fetched.
    - A shallow clone may lack the newest tag. The CI files clone all history, and `make diff-specs` fails without it.

    The test fails if the history cannot be read.
    """
    # A tarball may be inside another repository, whose tags are unrelated.
    if not (repository / ".git").exists():
        pytest.skip(f"'{repository}' is not a Git repository: the version was not compared with the newest release.")
    found = subprocess.run(
        ["git", "-c", "safe.directory=*", "describe", "--tags", "--abbrev=0", "--match=v*"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    if not found.returncode:
        tag = found.stdout.strip()
        files = git(repository, "ls-tree", "-r", "--name-only", tag, GOLDENS).split()
        return tag.removeprefix("v"), {
            Path(file).stem: json.loads(git(repository, "show", f"{tag}:{file}")) for file in files
        }
    if git(repository, "rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip(
            "The shallow clone has no tag v*: the version was not compared with the newest release. "
            "Run `git fetch --unshallow --tags`, or clone with all history (fetch-depth: 0)."
        )
    pytest.skip(f"'{repository}' has no tag v*: there is no release to compare with, or the tags were not fetched.")


def check_version(repository, interfaces, version):
    since, released = newest_release(repository)
    needed, changes = find_shortfall(released, since, interfaces, version)
    if changes:
        lines = "\n  ".join(changes)
        pytest.fail(f"Since {since}:\n  {lines}\nThe version should be {needed} or above. Received: {version}.")


def test_the_version_matches_the_changes_since_the_newest_release():
    interfaces = {name: read_interface(compile_component(name)).to_json() for name in find_components()}

    check_version(ROOT, json.loads(json.dumps(interfaces)), tiffin.__version__)


@pytest.fixture
def released(tmp_path):
    """Return a repository with release 0.1.0 of one component, and the component's interface."""
    interface = {"inputs": {"rows": {"type": "int", "default": 1}}, "outputs": {}}
    golden = tmp_path / GOLDENS / "count.json"
    golden.parent.mkdir(parents=True)
    golden.write_text(json.dumps({"version": "0.1.0", "image": "data", "descriptions": {}, **interface}))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a release")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path, interface


def test_without_a_release_the_comparison_is_skipped(tmp_path):
    git(tmp_path, "init", "-q")

    with pytest.raises(pytest.skip.Exception, match=rf"'{tmp_path}'.* v\*"):
        check_version(tmp_path, {"count": {"inputs": {}, "outputs": {}}}, "0.1.0")


def test_a_source_tarball_ignores_the_repository_around_it(released):
    repository, interface = released
    tarball = repository / "vendored"
    tarball.mkdir()

    with pytest.raises(pytest.skip.Exception, match=f"'{tarball}'"):
        check_version(tarball, {"count": interface}, "0.1.0")


def test_a_shallow_clone_without_tags_is_skipped(released, tmp_path_factory):
    repository, interface = released
    git(repository, "commit", "-qm", "since", "--allow-empty")
    shallow = tmp_path_factory.mktemp("shallow")
    git(shallow, "clone", "-q", "--depth=1", f"file://{repository}", ".")

    with pytest.raises(pytest.skip.Exception, match="Run `git fetch --unshallow --tags`"):
        check_version(shallow, {"count": interface}, "0.1.0")
    git(shallow, "fetch", "-q", "--unshallow", "--tags")
    check_version(shallow, {"count": interface}, "0.1.0")


def test_a_history_that_cannot_be_read_fails(tmp_path):
    (tmp_path / ".git").write_text("gitdir: nowhere")

    with pytest.raises(subprocess.CalledProcessError):
        check_version(tmp_path, {"count": {"inputs": {}, "outputs": {}}}, "0.1.0")


def test_an_unchanged_interface_keeps_its_version(released):
    repository, interface = released

    check_version(repository, {"count": interface}, "0.1.0")


def test_regenerated_goldens_do_not_hide_a_change(released):
    repository, _ = released
    (repository / GOLDENS / "count.json").write_text(json.dumps({"version": "0.1.0", "inputs": {}, "outputs": {}}))
    git(repository, "commit", "-qam", "a change")

    with pytest.raises(pytest.fail.Exception, match=r" rows\n.* 0\.2\.0 .* 0\.1\.1"):
        check_version(repository, {"count": {"inputs": {}, "outputs": {}}}, "0.1.1")
    check_version(repository, {"count": {"inputs": {}, "outputs": {}}}, "0.2.0")


def test_a_compatible_change_requires_a_patch(released):
    repository, interface = released
    wider = {**interface, "outputs": {"total": "int"}}

    with pytest.raises(pytest.fail.Exception, match=r" total\n.* 0\.1\.1 .* 0\.1\.0"):
        check_version(repository, {"count": wider}, "0.1.0")
    check_version(repository, {"count": wider}, "0.1.1")
