"""The columns of the examples."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of the examples.

    Attributes:
        name: Column name that TensorFlow accepts.
        type: INT, FLOAT or STRING.
        logical: What an INT stands for: `boolean`, `date` or `timestamp` (seconds since 1970, UTC); None for a plain value.
    """

    name: str
    type: str
    logical: str | None = None
