"""How source files are read: what the user set, and what is detected otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Reading:
    """The user's settings of how to read source files. An empty setting is detected from the files.

    Attributes:
        delimiter: CSV delimiter: one character, or comma, semicolon, tab or pipe.
        header: Whether CSV files start with a header line: auto, yes or no.
        column_names: Column names of CSV files, instead of a header's.
        partitions: Whether folders named `key=value` become columns: auto or none.
        missing_values: Texts that are missing values, in every column; the empty field always is.
        decimal: Decimal mark of CSV numbers: `.` or `,`.
        thousands: Mark between the thousands of CSV numbers, for example `,`.
        date_format: Format of CSV dates, in the codes of strptime, for example `%d.%m.%Y`.
        types: Column to type: text, integer, float, boolean, date or timestamp.
    """

    delimiter: str = ""
    header: str = "auto"
    column_names: tuple[str, ...] = ()
    partitions: str = "auto"
    missing_values: tuple[str, ...] = ()
    decimal: str = ""
    thousands: str = ""
    date_format: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
