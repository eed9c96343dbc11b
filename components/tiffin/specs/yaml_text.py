"""Read YAML: the one place that parses it, with bounds on what a text may expand to.

An alias stands for a whole document: ten lines of aliases of aliases can stand for billions of values. Deep nesting overflows
the stack of Python's and libyaml's readers.
"""

from collections.abc import Iterator
from typing import Any

import yaml

# A compiled pipeline of a hundred steps has about 100,000 values and a depth of 20.
_MOST_VALUES, _DEEPEST, _LARGEST = 1_000_000, 100, 50_000_000
# The C loader reads a spec of 2,000 lines in 0.05 s, the Python loader in 0.5 s.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class InvalidYaml(ValueError):
    """A text is not YAML, has a value that Python cannot hold, or expands beyond the bounds; the message is one line."""


def load_yaml(text: bytes | str) -> Any:
    """Return the content of a YAML text of one document; None if it is empty.

    Raises:
        InvalidYaml: The text is not YAML, has several documents, or exceeds the bounds.
    """
    documents = load_documents(text)
    if len(documents) > 1:
        raise InvalidYaml(f"it has {len(documents)} documents")
    return documents[0] if documents else None


def load_documents(text: bytes | str) -> list[Any]:
    """Return the documents of a YAML text.

    Raises:
        InvalidYaml: The text is not YAML, or exceeds the bounds.
    """
    if len(text) > _LARGEST:
        raise InvalidYaml(f"it has {len(text):,} characters, more than {_LARGEST:,}")
    try:
        _check_size(yaml.parse(text, Loader=_LOADER))
        return list(yaml.load_all(text, Loader=_LOADER))
    except InvalidYaml:
        raise
    except yaml.YAMLError as error:
        raise InvalidYaml(" ".join(str(error).split())) from None
    except (ValueError, OverflowError, TypeError, AttributeError, LookupError, RecursionError) as error:
        # Such as 2020-99-99, a date before year 1 in UTC, an integer of 5,000 digits, or bytes that are not UTF-8.
        raise InvalidYaml(f"it has an invalid value: {' '.join(str(error).split())}") from None


def _check_size(events: Iterator[yaml.Event]) -> None:
    """Raise unless the events have few values, counted with what aliases stand for, and little nesting."""
    total = 0
    sizes: dict[str, int] = {}
    # For each open list or mapping: its anchor, and the number of values before it.
    opened: list[tuple[str | None, int]] = []
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            sizes = {}
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in [anchor for anchor, _ in opened]:
                raise InvalidYaml(f"the alias *{event.anchor} contains itself")
            total += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
            if len(opened) > _DEEPEST:
                raise InvalidYaml(f"it is nested more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1 + len(event.value) // 100
        if total > _MOST_VALUES:
            raise InvalidYaml(f"it has more than {_MOST_VALUES:,} values, counted with what its aliases stand for")
