"""TensorFlow Serving's messages and services, from the `.proto` files beside this module.

`make golden` compiles them to descriptors.binpb. They have a descriptor pool of their own, because TensorFlow's generated
classes register the same names in the default pool. Messages are attributes, such as `wire.PredictRequest`; `METHODS` has
the paths and messages of the calls.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2


@dataclass(frozen=True)
class Method:
    """A method of a service: the path of its HTTP/2 request, and the classes of its request and response."""

    path: str
    request: Any
    response: Any


def build_pool(change: Callable[[Any], None] = lambda _: None) -> tuple[descriptor_pool.DescriptorPool, list[Any]]:
    """Return a pool with the descriptors of the files, and these.

    Args:
        change: Function that changes the FileDescriptorProto of each file. Defaults to none.
    """
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    described = descriptor_pb2.FileDescriptorSet.FromString(Path(__file__).with_name("descriptors.binpb").read_bytes())
    for file in described.file:
        change(file)
        pool.Add(file)
    return pool, [pool.FindFileByName(file.name) for file in described.file]


def find_methods(files: list[Any]) -> dict[str, Method]:
    """Return the methods of the services in files, by name."""
    return {
        method.name: Method(
            f"/{service.full_name}/{method.name}",
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
        )
        for file in files
        for service in file.services_by_name.values()
        for method in service.methods
    }


POOL, _FILES = build_pool()
_MESSAGES = {name: found for file in _FILES for name, found in file.message_types_by_name.items()}
_ENUMS = {name: found for file in _FILES for name, found in file.enum_types_by_name.items()}
METHODS = find_methods(_FILES)
DataType = _ENUMS["DataType"]


def __getattr__(name: str) -> Any:
    if name in _MESSAGES:
        # Store it as a module attribute, so that the next access does not call this function.
        return globals().setdefault(name, message_factory.GetMessageClass(_MESSAGES[name]))
    raise AttributeError(f"TensorFlow Serving has no message '{name}'")
