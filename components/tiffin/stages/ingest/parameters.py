"""Rules of the ingest stage's parameters. Does not import DuckDB, so they can be checked before a run starts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.recipe.sql import check_derive
from tiffin.stages.ingest.reading import Reading

TYPES = ("text", "integer", "float", "boolean", "date", "timestamp")
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|", "\\t": "\t"}


def check_splits(splits: Mapping[str, float]) -> None:
    """Raise an InputError unless there is a split, and each has a valid name and a positive weight."""
    if not splits:
        raise InputError(
            "splits should have at least one split, for example {'train': 2, 'eval': 1}. Received: splits={}."
        )
    for name, weight in splits.items():
        if not isinstance(name, str) or not name.isidentifier():
            raise InputError(
                f"A split's name should be letters, digits and '_', not starting with a digit. Received: splits['{name}']."
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise InputError(f"A split's weight should be a positive number. Received: splits['{name}']={weight!r}.")


def check_max_bad_share(share: float) -> None:
    """Raise an InputError unless the parameter `max_bad_share` is a share."""
    if not 0 <= share <= 1:
        raise InputError(f"max_bad_share should be from 0 to 1. Received: max_bad_share={share}.")


def check_decimal(mark: str) -> None:
    """Raise an InputError unless the parameter `decimal` is a decimal mark, or empty."""
    if mark not in ("", ".", ","):
        raise InputError(f"decimal should be '.' or ','. Received: decimal={mark!r}.")


def check_thousands(mark: str) -> None:
    """Raise an InputError unless the parameter `thousands` can stand between thousands, or is empty."""
    if mark and (len(mark) > 1 or mark.isalnum() or mark in '+-()%$€£¥"\n\r'):
        raise InputError(
            f"thousands should be one character, such as ',' or ' ', not a letter, digit or sign. Received: thousands={mark!r}."
        )


def check_missing_values(words: Iterable[object]) -> None:
    """Raise an InputError unless the parameter `missing_values` lists texts."""
    for word in words:
        if not isinstance(word, str):
            raise InputError(f"missing_values should list texts. Received: {word!r}. Write it as a text, '{word}'.")


def check_types(types: Mapping[str, object]) -> None:
    """Raise an InputError unless the parameter `types` maps columns to types."""
    for name, type_ in types.items():
        if type_ not in TYPES:
            near = did_you_mean(str(type_), TYPES)
            raise InputError(
                f"types should map columns to {', '.join(TYPES)}. Received: types={{'{name}': {type_!r}}}.{near}"
            )


def check_delimiter(delimiter: str) -> None:
    """Raise an InputError unless the parameter `delimiter` is a character that can separate values, or empty."""
    mark = DELIMITERS.get(delimiter, delimiter)
    if len(mark) > 1 or mark.isalnum() or mark in ('"', "\n", "\r"):
        raise InputError(
            "delimiter should be one character, not a letter or a digit, or one of "
            f"{', '.join(name for name in DELIMITERS if name.isalpha())}. "
            f"Received: delimiter={mark!r}."
        )


def check_header(header: str) -> None:
    """Raise an InputError unless the parameter `header` is one of its words."""
    if header not in ("auto", "yes", "no"):
        raise InputError(f"header should be auto, yes or no. Received: header={header!r}.")


def check_partitions(partitions: str) -> None:
    """Raise an InputError unless the parameter `partitions` is one of its words."""
    if partitions not in ("auto", "none"):
        raise InputError(f"partitions should be auto or none. Received: partitions={partitions!r}.")


def check_column_names(names: Sequence[object]) -> None:
    """Raise an InputError unless the parameter `column_names` lists different texts that are not empty."""
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"column_names should be texts that are not empty. Received: {name!r}.")
        if names.count(name) > 1:
            raise InputError(f"column_names should be different. Received: {name!r} {names.count(name)} times.")


# Input of ingest_examples -> its rule.
RULES: Mapping[str, Callable[[Any], None]] = {
    "derive": check_derive,
    "splits": check_splits,
    "max_bad_share": check_max_bad_share,
    "types": check_types,
    "missing_values": check_missing_values,
    "decimal": check_decimal,
    "thousands": check_thousands,
    "delimiter": check_delimiter,
    "header": check_header,
    "column_names": check_column_names,
    "partitions": check_partitions,
}


def check_reading(reading: Reading) -> None:
    """Raise an InputError unless each setting follows its rule, and the settings go together."""
    for field in fields(reading):
        if field.name in RULES:
            RULES[field.name](getattr(reading, field.name))
    if reading.thousands and reading.thousands == reading.decimal:
        raise InputError(
            f"decimal and thousands should differ. Received: decimal={reading.decimal!r}, thousands={reading.thousands!r}."
        )
