"""The folders of the tests, and the environments that they run in."""

from support.environments import ENVIRONMENTS, SOURCE, TESTS, environments

# Folders of tests for code outside the package.
APART = ("benchmarks", "ci", "dashboards", "docs", "goldens", "images", "manifests", "notebooks")
FILES = sorted(TESTS.rglob("test_*.py"))


def test_folders_mirror_the_source() -> None:
    for file in FILES:
        folder = file.parent.relative_to(TESTS)
        assert str(folder).split("/")[0] in APART or (SOURCE / folder).is_dir(), file


def test_every_file_has_an_environment() -> None:
    for file in FILES:
        assert environments(file), file
        assert environments(file) <= set(ENVIRONMENTS), file


def test_a_stage_is_tested_in_the_environment_of_its_image() -> None:
    assert environments(TESTS / "stages" / "ingest" / "test_examples.py") == {"data"}
    assert environments(TESTS / "stages" / "train" / "test_training.py") == {"model"}
    assert environments(TESTS / "stages" / "test_anything.py") == {"dev"}
