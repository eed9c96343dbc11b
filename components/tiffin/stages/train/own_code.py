"""The Python file with a model of one's own: read, run, and its errors shown with its own lines.

The code runs with the rights of the step. It is read from a path or a store that the user named, never by plain HTTP.
"""

import contextlib
import hashlib
import inspect
import linecache
import os
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tiffin import storage
from tiffin.errors import InputError, TiffinError, explain
from tiffin.stages.train.settings import check_model_code

# Function -> its parameters.
FUNCTIONS: Mapping[str, tuple[str, ...]] = {"build_model": ("features", "hyperparameters"), "train": ("context",)}
# Packages whose errors are the user's, also where no line of the file took part.
_LIBRARIES = ("tensorflow", "keras")
# Characters of a library's message.
_SHOWN = 400
# The code's module: a name of its own, so that it hides no other module.
_MODULE = "tiffin_model_code"


@dataclass(frozen=True)
class Code:
    """The content of a model file.

    Attributes:
        location: Path or URI.
        content: The file's bytes.
    """

    location: str
    content: bytes

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.location.rstrip("/").rpartition("/")[2]

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


def read_code(location: str) -> Code:
    """Read a model file.

    Args:
        location: Path, or URI of Google Cloud Storage or S3.

    Raises:
        InputError: The location is no Python file.
        StorageError: The file cannot be read.
    """
    check_model_code(location)
    found = storage.read(location)
    if found is None:
        raise InputError(
            f"model_code should be a file that the step can read. Received: model_code='{location}', which does not exist. "
            "Check the path; a relative one starts at the folder of the run."
        )
    return Code(location, found[0])


def load_function(code: Code) -> tuple[str, Callable[..., Any]]:
    """Run a model file and return its function `build_model` or `train`, and which of them it is.

    The code runs anew with each call.

    Raises:
        InputError: The file is no Python, fails, or has neither function, both, or one with other parameters.
    """
    module = types.ModuleType(_MODULE)
    module.__file__ = code.location
    try:
        program = compile(code.content, code.location, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" line {line}, `{(getattr(error, 'text', None) or '').strip()}`" if line else ""
        raise InputError(f"model_code is not valid Python: '{code.location}'{where}: {_text_of(error)}.") from None
    lines = code.content.decode("utf-8", "replace").splitlines(keepends=True)
    # Of this run's content, whatever becomes of the file: without a time, linecache does not read it again.
    linecache.cache[code.location] = (len(code.content), None, lines, code.location)
    sys.modules[_MODULE] = module
    with shown(code, "The import"), _without_working_folder():
        exec(program, module.__dict__)  # noqa: S102 - the user's own code, with the rights of the step
    return _find_function(code, module)


def _find_function(code: Code, module: types.ModuleType) -> tuple[str, Callable[..., Any]]:
    found = {name: vars(module)[name] for name in FUNCTIONS if name in vars(module)}
    forms = " or ".join(f"{name}({', '.join(names)})" for name, names in FUNCTIONS.items())
    if len(found) != 1:
        received = "both" if found else "neither"
        raise InputError(
            f"model_code should have one function, {forms}. Received: '{code.location}' with {received}. "
            f"{'Rename one of them' if found else 'Add one of them'}."
        )
    [(name, function)] = found.items()
    names = FUNCTIONS[name]
    if not callable(function):
        raise InputError(
            f"{name} of model_code should be a function. Received: {type(function).__name__} in '{code.location}'."
        )
    try:
        inspect.signature(function).bind(*names)
    except (TypeError, ValueError):
        line = getattr(getattr(function, "__code__", None), "co_firstlineno", 0)
        raise InputError(
            f"{name} of model_code should take {' and '.join(names)}: def {name}({', '.join(names)}). "
            f"Received: {name}{inspect.signature(function)} in '{code.location}'{f' line {line}' if line else ''}."
        ) from None
    return name, function


@contextlib.contextmanager
def shown(code: Code, doing: str) -> Iterator[None]:
    """Turn an error of the user's code into an InputError with the line of the user's file.

    Errors that are neither raised in the file nor by TensorFlow or Keras are left as they are.

    Args:
        code: The model file.
        doing: What may fail, such as `build_model`: the subject of the message.

    Raises:
        InputError: The code failed.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        place = _place_of(error, code)
        # The last package of the traceback that is known; the standard library may have raised the error for it.
        raiser = ([name for name in _packages(error) if name in ("tiffin", *_LIBRARIES, _MODULE)] or ["tiffin"])[-1]
        is_ours = raiser == "tiffin" and (place is None or isinstance(error, TiffinError))
        # Memory that ran out has a message of its own; so have the errors of Tiffin.
        if is_ours or isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
            raise
        text = _text_of(error)
        if isinstance(error, ModuleNotFoundError):
            text += " (model_code is one file; it can import what the image `model` has)"
        raise InputError(f"{doing} failed in '{code.location}'{place or ''}: {text.rstrip('.')}.") from None


def _place_of(error: BaseException, code: Code) -> str | None:
    """Return the last line of the user's file that took part, with its text; None if there is none."""
    numbers = [
        number for frame, number in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == code.location
    ]
    if not numbers:
        # An error of a graph names the lines that made the failing node in its message.
        numbers = [int(number) for number in re.findall(rf'File "{re.escape(code.location)}", line (\d+)', str(error))]
    if not numbers:
        return None
    lines = linecache.getlines(code.location)
    text = lines[numbers[-1] - 1].strip() if 0 < numbers[-1] <= len(lines) else ""
    return f" line {numbers[-1]}, `{text}`" if text else f" line {numbers[-1]}"


def _packages(error: BaseException) -> list[str]:
    """Return the package of each frame of an error's traceback, from the outermost to the innermost."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame in frames]


def _text_of(error: BaseException) -> str:
    """Return type and message of an error on one line, without the tracebacks that TensorFlow puts into messages."""
    if isinstance(error, SyntaxError):
        return str(error.msg)
    if isinstance(error, OSError) and (message := explain(error)):
        return message
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))  # Keras writes in bold
    # The failure of a graph follows the lines that made the failing node.
    text = re.sub(r"(?s)^.*Detected at node.*?\n\n", "", text)
    for start in ("\n\nStack trace", "\n\nArguments received by", "\n\nCall arguments received by", "[[{{", "[Op:"):
        text = text.partition(start)[0]
    text = " ".join(re.sub(r"\{\{function_node [^}]*\}\}", "", text).split())
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextlib.contextmanager
def _without_working_folder() -> Iterator[None]:
    """Let an import not find modules beside the run, which a cluster lacks, and whose changes would not train anew."""
    here, kept = os.getcwd(), list(sys.path)
    sys.path[:] = [entry for entry in kept if entry and os.path.abspath(entry) != here]
    try:
        yield
    finally:
        sys.path[:] = kept
