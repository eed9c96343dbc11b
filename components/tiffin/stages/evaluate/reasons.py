"""Numbers in the reasons of checks. Imports nothing heavy."""

from decimal import ROUND_HALF_EVEN, Context


def short(value: float, digits: int = 4, rounding: str = ROUND_HALF_EVEN) -> str:
    """Return a number with few digits."""
    if value and not 1e-6 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    return f"{Context(prec=digits, rounding=rounding).create_decimal(value).normalize():,f}"


def on_rows(rows: int) -> str:
    """Return `on 5,000 rows`."""
    return f"on {rows:,} {'row' if rows == 1 else 'rows'}"
