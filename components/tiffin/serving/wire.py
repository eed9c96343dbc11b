"""TensorFlow Serving's messages and services, read from the `.proto` files beside this module.

They live in a descriptor pool of their own, so that they share a process with TensorFlow's generated classes, which
register the same names. A message is an attribute: `wire.PredictRequest`; a call's path and messages are in `METHODS`.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

_TOKEN = re.compile(r'//[^\n]*|\s+|("[^"]*"|[\w.]+|[{}=;<>(),])')
_LABELS = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    name: getattr(descriptor_pb2.FieldDescriptorProto, f"TYPE_{name.upper()}")
    for name in ("double", "float", "int64", "uint64", "int32", "uint32", "bool", "string", "bytes")
}


@dataclass(frozen=True)
class Method:
    """A call of a service: the path of its HTTP/2 request, and the classes of what is sent and received."""

    path: str
    request: Any
    response: Any


class _Tokens:
    """The words of a `.proto` file, one after the other."""

    def __init__(self, text: str) -> None:
        self._words: list[str] = [word for word in _TOKEN.findall(text) if word]
        self._next = 0

    def __bool__(self) -> bool:
        return self._next < len(self._words)

    def take(self) -> str:
        self._next += 1
        return self._words[self._next - 1]

    def accept(self, word: str) -> bool:
        if self._words[self._next] != word:
            return False
        self._next += 1
        return True

    def statement(self) -> list[str]:
        """Take the words up to the next `;` or `{`, which is taken too but not returned."""
        start = self._next
        while self.take() not in ("{", ";"):
            pass
        return self._words[start : self._next - 1]


def _read_file(path: Path) -> descriptor_pb2.FileDescriptorProto:
    """Read a `.proto` file of the plain kind used here: no options, no extensions, no optional fields."""
    tokens = _Tokens(path.read_text())
    file = descriptor_pb2.FileDescriptorProto(name=path.name, syntax="proto3")
    while tokens:
        keyword, *words = tokens.statement()
        if keyword == "package":
            file.package = words[0]
        elif keyword == "import":
            file.dependency.append(words[0].strip('"'))
        elif keyword == "message":
            _read_message(tokens, file.message_type.add(name=words[0]))
        elif keyword == "enum":
            _read_enum(tokens, file.enum_type.add(name=words[0]))
        elif keyword == "service":
            _read_service(tokens, file.service.add(name=words[0]))
    return file


def _read_message(tokens: _Tokens, message: descriptor_pb2.DescriptorProto) -> None:
    while not tokens.accept("}"):
        words = tokens.statement()
        if words[0] == "message":
            _read_message(tokens, message.nested_type.add(name=words[1]))
        elif words[0] == "enum":
            _read_enum(tokens, message.enum_type.add(name=words[1]))
        elif words[0] == "oneof":
            message.oneof_decl.add(name=words[1])
            while not tokens.accept("}"):
                field = _add_field(message, tokens.statement())
                field.oneof_index = len(message.oneof_decl) - 1
        else:
            _add_field(message, words)


def _add_field(message: descriptor_pb2.DescriptorProto, words: list[str]) -> descriptor_pb2.FieldDescriptorProto:
    *kind, name, _, number = words
    label = _LABELS.LABEL_REPEATED if kind[0] in ("repeated", "map") else _LABELS.LABEL_OPTIONAL
    field = message.field.add(name=name, number=int(number), label=label)
    if kind[0] == "map":  # map < key , value >
        entry = message.nested_type.add(name=name.title().replace("_", "") + "Entry")
        entry.options.map_entry = True
        for position, part in enumerate(("key", "value"), start=1):
            _set_type(entry.field.add(name=part, number=position, label=_LABELS.LABEL_OPTIONAL), kind[2 * position])
        field.type, field.type_name = _LABELS.TYPE_MESSAGE, entry.name
    else:
        _set_type(field, kind[-1])
    return field


def _set_type(field: descriptor_pb2.FieldDescriptorProto, kind: str) -> None:
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        # The pool finds out whether the name is a message or an enum, and in which scope.
        field.type_name = kind


def _read_enum(tokens: _Tokens, enum: descriptor_pb2.EnumDescriptorProto) -> None:
    while not tokens.accept("}"):
        name, _, number = tokens.statement()
        enum.value.add(name=name, number=int(number))


def _read_service(tokens: _Tokens, service: descriptor_pb2.ServiceDescriptorProto) -> None:
    while not tokens.accept("}"):
        _, name, _, request, _, _, _, response, _ = tokens.statement()  # rpc Name(Request) returns (Response);
        service.method.add(name=name, input_type=request, output_type=response)


def _build_pool() -> tuple[descriptor_pool.DescriptorPool, list[Any]]:
    pool = descriptor_pool.DescriptorPool()
    for known in (any_pb2, wrappers_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    names = ("tensorflow.proto", "tensorflow_serving.proto")
    for name in names:
        pool.AddSerializedFile(_read_file(Path(__file__).with_name(name)).SerializeToString())
    return pool, [pool.FindFileByName(name) for name in names]


POOL, _FILES = _build_pool()
_MESSAGES = {name: found for file in _FILES for name, found in file.message_types_by_name.items()}
_ENUMS = {name: found for file in _FILES for name, found in file.enum_types_by_name.items()}
METHODS = {
    method.name: Method(
        f"/{service.full_name}/{method.name}",
        message_factory.GetMessageClass(method.input_type),
        message_factory.GetMessageClass(method.output_type),
    )
    for file in _FILES
    for service in file.services_by_name.values()
    for method in service.methods
}
DataType = _ENUMS["DataType"]


def __getattr__(name: str) -> Any:
    if name in _MESSAGES:
        # From now on it is an attribute like any other, found without asking here.
        return globals().setdefault(name, message_factory.GetMessageClass(_MESSAGES[name]))
    raise AttributeError(f"TensorFlow Serving has no message '{name}'")
