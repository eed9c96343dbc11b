"""Models, predictions and the prediction log in buckets."""

import pyarrow.parquet as pq
import pytest

from support import gcs_emulator, s3_server
from support.fares import rows
from support.written import write_examples
from tiffin import storage
from tiffin.artifacts.predictions import COMPLETE
from tiffin.serving.root import STABLE, VERSIONS, ServedModel
from tiffin.stages.predict.prediction import predict


@pytest.fixture(params=["gs", "s3"])
def bucket(request):
    if request.param == "gs":
        with gcs_emulator.serve() as found:
            yield f"gs://{found.name}"
    else:
        with s3_server.serve() as found:
            yield f"s3://{found.name}"


def test_are_as_those_on_disk(bucket, root, tmp_path):
    served = ServedModel(f"{bucket}/root", "taxi")
    storage.publish_folder(tmp_path.parent / root / "taxi" / VERSIONS / "2", served.locate(VERSIONS, "2"))
    storage.write_new(served.locate(STABLE), served.make_config(2))
    examples = write_examples(tmp_path / "examples", {"all": [rows(10), rows(5, 10)]})
    options = {"name": "taxi", "key": "trip", "log": True}
    local = predict(examples, tmp_path / "one", serving_root=root, log_root=str(tmp_path / "log"), **options)
    first, second = (
        predict(
            examples, tmp_path / "two", serving_root=served.root, location=f"{bucket}/out", log_root=f"{bucket}/log",
            **options,
        )
        for _ in range(2)
    )  # fmt: skip

    assert (first.reused, second.reused) == (0, 2)
    assert second.files == first.files
    assert storage.exists(storage.join(first.location, COMPLETE))
    for file in first.files:
        with storage.local_copy(storage.join(first.location, file.name)) as path:
            assert pq.read_table(path).equals(pq.read_table(f"{local.location}/{file.name}"))
    logged = storage.list_files(f"{bucket}/log/taxi")
    assert len(logged) == 2

    storage.delete(storage.join(first.location, "all-00001-00000.parquet"))
    third = predict(
        examples, tmp_path / "two", serving_root=served.root, location=f"{bucket}/out", log_root=f"{bucket}/log",
        **options,
    )  # fmt: skip
    assert third.reused == 1
    assert third.files == first.files
    assert storage.list_files(f"{bucket}/log/taxi") == logged
