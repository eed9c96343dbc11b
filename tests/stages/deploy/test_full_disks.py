"""A full disk: the error names the file, and no partial files remain."""

import errno
import os
import tempfile

import pytest

from support.small_disks import needs_small_disks, small_disk
from tiffin.errors import StorageError
from tiffin.stages.deploy.deployment import deploy


@needs_small_disks
def test_the_error_names_the_serving_root(models, tmp_path):
    with small_disk(tmp_path / "disk", 100) as disk:
        with pytest.raises(StorageError, match=rf"'{disk}/root/taxi/versions/.*{os.strerror(errno.ENOSPC)}"):
            deploy(
                models.binary.model, models.binary.examples, tmp_path / "out", "taxi", 1, serving_root=str(disk / "root"),
                address="127.0.0.1:1", deadline_seconds=1,
            )  # fmt: skip

        assert [path.name for path in disk.rglob("*") if path.is_file()] == [".lock"]
    assert not (tmp_path / "out").exists()


@needs_small_disks
def test_the_error_names_the_temporary_folder(models, tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", 100) as disk:
        monkeypatch.setattr(tempfile, "tempdir", str(disk))
        with pytest.raises(StorageError, match=rf"'{disk}/.*{os.strerror(errno.ENOSPC)}"):
            deploy(
                models.binary.model, models.binary.examples, tmp_path / "out", "taxi", 1, serving_root=str(tmp_path / "root"),
                address="127.0.0.1:1", deadline_seconds=1,
            )  # fmt: skip

        assert list(disk.iterdir()) == []
