"""The schema artifact, local and remote."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from support import gcs_emulator
from tiffin.artifacts.schema import digest_schema, read_schema, write_schema
from tiffin.errors import InputError, StorageError

RUNS_IN = ("data", "model")

SCHEMA = schema_pb2.Schema(feature=[schema_pb2.Feature(name="zürich", type=schema_pb2.INT)])


def test_a_written_schema_is_read(tmp_path):
    write_schema(tmp_path, SCHEMA)

    assert (tmp_path / "schema.pbtxt").read_text() == 'feature {\n  name: "zürich"\n  type: INT\n}\n'
    assert read_schema(tmp_path) == read_schema(tmp_path / "schema.pbtxt") == SCHEMA
    # sha256sum of the file
    assert digest_schema(tmp_path) == "bd7de3aae2bff024"


def test_the_fields_are_in_the_order_of_the_proto_file(tmp_path):
    """Not in the order of their numbers, nor in protobuf's own order, which differs between its versions."""
    feature = schema_pb2.Feature(name="n", type=schema_pb2.INT, in_environment=["TRAINING"])
    feature.presence.min_count = 1
    feature.int_domain.max = 9
    feature.shape.dim.add(size=1)
    feature.drift_comparator.infinity_norm.threshold = 0.5
    write_schema(tmp_path, schema_pb2.Schema(feature=[feature], default_environment=["TRAINING"]))
    lines = (tmp_path / "schema.pbtxt").read_text().splitlines()

    assert [line.split()[0] for line in lines if line.startswith("  ") and line[2].isalpha()] == [
        "name:", "presence", "shape", "type:", "int_domain", "drift_comparator", "in_environment:",
    ]  # fmt: skip


def test_from_a_bucket():
    with gcs_emulator.serve() as bucket:
        bucket.put("any.pbtxt", text_format.MessageToString(SCHEMA).encode())

        assert read_schema(f"gs://{bucket.name}/any.pbtxt") == SCHEMA


def test_a_folder_without_a_schema(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match=rf"'schema\.pbtxt'.*'{tmp_path}'.*'manifest\.json'"):
        read_schema(tmp_path)


def test_a_missing_schema(tmp_path):
    with pytest.raises(InputError, match=rf"'{tmp_path}/other\.pbtxt'.*schema\.pbtxt"):
        read_schema(tmp_path / "other.pbtxt")


@pytest.mark.parametrize("content", [b"feature {", b'colour: "red"', b"\xff\xfe\x00", b"a,b\n1,2\n"])
def test_a_file_that_is_not_a_schema(tmp_path, content):
    (tmp_path / "given").write_bytes(content)
    with pytest.raises(InputError, match=r"given'.* tensorflow\.metadata\.v0\.Schema"):
        read_schema(tmp_path / "given")


def test_an_object_that_cannot_be_read():
    with gcs_emulator.serve() as bucket:
        bucket.forbidden = True
        with pytest.raises(StorageError, match=r"any\.pbtxt"):
            read_schema(f"gs://{bucket.name}/any.pbtxt")
