"""The schema artifact: the columns and their rules, in TensorFlow Metadata's text format."""

import hashlib
from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.storage.files import write_bytes

_SCHEMA = "schema.pbtxt"


def write_schema(artifact: str | Path, schema: schema_pb2.Schema) -> None:
    """Write a schema artifact; equal schemas give equal bytes."""
    # In the order of the .proto file: the default order differs between versions of protobuf.
    text = text_format.MessageToString(schema, as_utf8=True, use_index_order=True)
    write_bytes(Path(artifact) / _SCHEMA, text.encode())


def read_schema(location: str | Path) -> schema_pb2.Schema:
    """Read a schema from a schema artifact or a `schema.pbtxt`, local, `gs://` or `s3://`.

    Raises:
        InputError: The file is missing or is not a schema.
    """
    uri, content = _read(location)
    try:
        schema: schema_pb2.Schema = text_format.Parse(content.decode(), schema_pb2.Schema())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise InputError(
            f"'{uri}' is not a tensorflow.metadata.v0.Schema in text format: {error}. Start from a schema artifact."
        ) from None
    return schema


def digest_schema(location: str | Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the file's content."""
    return hashlib.sha256(_read(location)[1]).hexdigest()[:16]


def _read(location: str | Path) -> tuple[str, bytes]:
    uri = str(location)
    if Path(uri).is_dir():
        return str(Path(uri) / _SCHEMA), documents.read_bytes(Path(uri) / _SCHEMA)
    content = storage.read(uri)
    if content is None:
        raise InputError(f"No such schema: '{uri}'. Pass a {_SCHEMA} or a folder that contains one.")
    return uri, content[0]
