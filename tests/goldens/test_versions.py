"""The version against the newest release, the newest tag v* in the history: its goldens are the interfaces it had."""

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
    # Whose the checkout is says nothing about its history.
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

    Where the history cannot say, the test that asks is skipped, and pytest's summary says why:

    - A source tarball has no history, and who builds from one cannot get it.
    - A clone without a tag v* is as it is before the first release, unless its tags were left behind.
    - In a shallow clone the newest tag may lie below what was cloned. Our own CI files clone all history, and
      `make diff-specs` in them fails without it.

    A history that is there and cannot be read fails.
    """
    # A tarball may lie inside somebody else's repository, whose tags are not ours.
    if not (repository / ".git").exists():
        pytest.skip("A source tarball has no history, so the version was not compared with the newest release's.")
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
            "A shallow clone should have its newest tag v*. Received: none, so the version was not compared with the "
            "newest release's. Run `git fetch --unshallow --tags`, or clone with all history (fetch-depth: 0)."
        )
    pytest.skip("There is no tag v* in the history: any version will do before the first release. Or fetch the tags.")


def check_version(repository, interfaces, version):
    since, released = newest_release(repository)
    needed, changes = find_shortfall(released, since, interfaces, version)
    if changes:
        lines = "\n  ".join(changes)
        pytest.fail(f"Since {since}:\n  {lines}\nThe version should be {needed} or above. It is {version}: raise it.")


def test_the_version_says_what_changed_since_the_newest_release():
    interfaces = {name: read_interface(compile_component(name)).to_json() for name in find_components()}

    check_version(ROOT, json.loads(json.dumps(interfaces)), tiffin.__version__)


@pytest.fixture
def released(tmp_path):
    """Return a repository that released version 0.1.0 with one component, and that component's interface."""
    interface = {"inputs": {"rows": {"type": "int", "default": 1}}, "outputs": {}}
    golden = tmp_path / GOLDENS / "count.json"
    golden.parent.mkdir(parents=True)
    golden.write_text(json.dumps({"version": "0.1.0", "image": "data", "descriptions": {}, **interface}))
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a release")
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path, interface


def test_before_the_first_release_it_is_said_that_any_version_will_do(tmp_path):
    git(tmp_path, "init", "-q")

    with pytest.raises(pytest.skip.Exception, match=r"no tag v\* in the history: any version will do"):
        check_version(tmp_path, {"count": {"inputs": {}, "outputs": {}}}, "0.1.0")


def test_a_source_tarball_is_not_held_to_history_nor_to_that_of_what_it_lies_in(released):
    repository, interface = released
    tarball = repository / "vendored"
    tarball.mkdir()

    with pytest.raises(pytest.skip.Exception, match="A source tarball has no history"):
        check_version(tarball, {"count": interface}, "0.1.0")


def test_a_shallow_clone_says_that_its_tags_are_missing(released, tmp_path_factory):
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


def test_what_is_as_released_keeps_its_version(released):
    repository, interface = released

    check_version(repository, {"count": interface}, "0.1.0")


def test_goldens_written_anew_do_not_hide_a_change(released):
    repository, _ = released
    (repository / GOLDENS / "count.json").write_text(json.dumps({"version": "0.1.0", "inputs": {}, "outputs": {}}))
    git(repository, "commit", "-qam", "a change")

    with pytest.raises(pytest.fail.Exception, match=r"input removed: rows\nThe version should be 0\.2\.0 or above"):
        check_version(repository, {"count": {"inputs": {}, "outputs": {}}}, "0.1.1")
    check_version(repository, {"count": {"inputs": {}, "outputs": {}}}, "0.2.0")


def test_a_compatible_change_asks_for_a_patch(released):
    repository, interface = released
    wider = {**interface, "outputs": {"total": "int"}}

    with pytest.raises(pytest.fail.Exception, match=r"breaks nothing: output added: total\n.* 0\.1\.1 or above"):
        check_version(repository, {"count": wider}, "0.1.0")
    check_version(repository, {"count": wider}, "0.1.1")
