from pathlib import Path

import pytest

from images import builder
from tiffin.errors import InputError, TiffinError

DIGEST = f"sha256:{'a' * 64}"


def test_buildahs_digests_are_those_of_what_was_pushed() -> None:
    assert builder.find_digest(["buildah"], "r/data:1", {"r/data:1": DIGEST}) == DIGEST

    with pytest.raises(TiffinError, match=r"'r/model:1'.*`make images-push`"):
        builder.find_digest(["buildah"], "r/model:1", {"r/data:1": DIGEST})


def test_images_are_built_in_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'{tmp_path}'.*locks/"):
        builder.build(["docker"], tmp_path, "data")


def test_a_failed_build_says_what_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "components" / "images").mkdir(parents=True)
    (tmp_path / "components" / "images" / "Dockerfile").write_text("FROM scratch\n")
    # Set-up's own virtualenv, whose pip is asked for its settings.
    (tmp_path / ".venvs").symlink_to(Path(__file__).parents[2] / ".venvs")

    with pytest.raises(TiffinError, match=r"`false build`.*pip"):
        builder.build(["false"], tmp_path, "data")
