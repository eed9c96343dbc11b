"""The SavedModel of the version in production, or of another one."""

from pathlib import Path

import pytest

from tiffin.errors import InputError
from tiffin.serving import model_config
from tiffin.serving.production import find_saved_model, local_folder, open_root
from tiffin.serving.root import STABLE, VERSIONS, ServedModel


@pytest.fixture
def served(tmp_path: Path) -> ServedModel:
    """Return a model with the versions 1 and 2, neither of which is in production."""
    found = ServedModel(str(tmp_path), "taxi")
    for version in (1, 2):
        folder = Path(found.locate(VERSIONS, str(version)))
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
    return found


def configure(served: ServedModel, **policy: object) -> None:
    entry = model_config.make_model("taxi", served.locate(VERSIONS), **policy)  # type: ignore[arg-type]
    text = model_config.format_config(model_config.make_config([entry]))
    Path(served.locate(STABLE)).write_text(text)


def test_a_root_without_models(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'taxi'"):
        find_saved_model(ServedModel(str(tmp_path), "taxi"))
    with pytest.raises(InputError, match="model_version"):
        find_saved_model(ServedModel(str(tmp_path), "taxi"), 1)


def test_no_version_is_in_production(served: ServedModel) -> None:
    with pytest.raises(InputError, match="'taxi'"):
        find_saved_model(served)
    assert find_saved_model(served, 1) == (1, served.locate(VERSIONS, "1"))


def test_the_listed_version(served: ServedModel) -> None:
    configure(served, versions=[1])

    assert find_saved_model(served) == (1, served.locate(VERSIONS, "1"))


def test_the_newest_version_of_a_config_without_a_list(served: ServedModel) -> None:
    configure(served)

    assert find_saved_model(served) == (2, served.locate(VERSIONS, "2"))


def test_a_config_without_files(tmp_path: Path) -> None:
    served = ServedModel(str(tmp_path), "taxi")
    (tmp_path / "taxi").mkdir()
    configure(served)

    with pytest.raises(InputError, match="versions"):
        find_saved_model(served)


def test_a_name_that_is_nearly_one_of_the_models(served: ServedModel) -> None:
    configure(served, versions=[1])

    with pytest.raises(InputError, match="'taxi'"):
        find_saved_model(ServedModel(served.root, "taxy"))


def test_a_root(tmp_path: Path) -> None:
    assert open_root(str(tmp_path)) == str(tmp_path.resolve())
    assert open_root("s3://bucket/root/") == "s3://bucket/root"
    with pytest.raises(InputError, match="serving_root"):
        open_root(str(tmp_path / "absent"))


def test_a_folder_on_disk_is_not_copied(tmp_path: Path) -> None:
    with local_folder(str(tmp_path)) as folder:
        assert folder == tmp_path
