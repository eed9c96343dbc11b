from pathlib import Path

import pytest

from images import builder
from tiffin.errors import InputError, TiffinError

DIGEST = f"sha256:{'a' * 64}"


def test_buildah_uses_the_digests_of_pushed_images() -> None:
    assert builder.find_digest(["buildah"], "r/data:1", {"r/data:1": DIGEST}) == DIGEST

    with pytest.raises(TiffinError, match=r"'r/model:1'.*`make images-push`"):
        builder.find_digest(["buildah"], "r/model:1", {"r/data:1": DIGEST})


def test_build_requires_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"'{tmp_path}'.*locks/"):
        builder.build(["docker"], tmp_path, "data")


def test_failed_build_names_the_command_and_pip(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "components" / "images").mkdir(parents=True)
    (tmp_path / "components" / "images" / "Dockerfile").write_text("FROM scratch\n")
    # The build reads the settings of the pip in set-up's virtualenv.
    (tmp_path / ".venvs").symlink_to(Path(__file__).parents[2] / ".venvs")

    with pytest.raises(TiffinError, match=r"`false build`.*pip"):
        builder.build(["false"], tmp_path, "data")
