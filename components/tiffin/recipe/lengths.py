"""An upper bound of the texts and lists that the expression of a derived column makes, computed before it runs.

DuckDB keeps them for 2,048 rows at a time, outside its memory limit: `repeat('x', 4000000000)` alone fills a machine's memory.
Functions that expand their arguments take constant sizes, so that the bound is known.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# The longest value in bytes, without the part that grows with the data, and the sum over all values of a row.
LONGEST, LONGEST_IN_ALL = 10_000, 250_000
# The part that grows with the data, as a multiple of the row's longest value: of one value, and of all of an expression.
_TIMES, _TIMES_IN_ALL = 1_000, 10_000
# The longest text of a number, a date, an interval or a digest.
_NUMBER = 64
# Functions whose time is the product of the lengths of their arguments.
_PAIRWISE = {
    "editdist3",
    "hamming",
    "jaccard",
    "jaro_similarity",
    "jaro_winkler_similarity",
    "levenshtein",
    "mismatches",
}
_LONGEST_PAIR = 1_000


@dataclass(frozen=True)
class Length:
    """A number of bytes, plus a multiple of the row's longest value, which counts as 64 bytes at least."""

    fixed: int = 0
    times: int = 0

    def __add__(self, other: "Length") -> "Length":
        """Return the length of both, one after the other."""
        return Length(self.fixed + other.fixed, self.times + other.times)

    def __mul__(self, factor: int) -> "Length":
        """Return the length of a repetition."""
        return Length(self.fixed * factor, self.times * factor)


class TooLong(Exception):
    """An expression may make too long values; the message names the function and the limit."""


def measure(node: Mapping[str, Any], columns: Mapping[str, Length]) -> tuple[Length, Length]:
    """Return bounds of an expression's value, and of all the texts and lists that it makes for a row.

    Args:
        node: DuckDB's serialized tree of an expression with allowed functions and types.
        columns: Name of a derived column in lower case to the bound of its value.

    Raises:
        TooLong: A value may exceed the limits, or its size is not a constant.
    """
    made: list[Length] = []
    value = _value(node, columns, made)
    total = sum(made, Length())
    if total.fixed > LONGEST_IN_ALL or total.times > _TIMES_IN_ALL:
        raise TooLong(f"its functions may make texts of more than {LONGEST_IN_ALL:,} bytes in all")
    return value, total


def arguments_of(node: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the arguments of a function call; `name.upper()` is `upper(name)`."""
    arguments = [argument["expression"] for argument in node.get("arguments", [])]
    path = node["qualified_name"]["path"][:-1]
    return [{"class": "COLUMN_REF", "column_names": path}, *arguments] if path else arguments


def _value(node: Mapping[str, Any], columns: Mapping[str, Length], made: list[Length]) -> Length:
    kind = node["class"]
    if kind == "CONSTANT":
        text = str(node["literal"].get("text", ""))
        return Length(len(text.encode()) if _text(node) is not None else max(2 * len(text), _NUMBER))
    if kind == "COLUMN_REF":
        return columns.get(node["column_names"][-1].lower(), Length(0, 1))
    if kind == "FUNCTION":
        arguments = arguments_of(node)
        values = [_value(argument, columns, made) for argument in arguments]
        name = node["function_name"].lower()
        return _kept(name, _function(name, arguments, values), made)
    if kind == "CASE":
        branches = [_value(check["then_expr"], columns, made) for check in node["case_checks"]]
        for check in node["case_checks"]:
            _value(check["when_expr"], columns, made)
        return _longest([*branches, _value(node["else_expr"], columns, made)])
    parts = [node[key] for key in ("child", "left", "right", "input", "lower") if isinstance(node.get(key), dict)]
    parts += [node["upper"]] if kind == "BETWEEN" else node.get("children", [])
    values = [_value(part, columns, made) for part in parts]
    if kind == "CAST":
        # Text of lists has quotes, JSON escapes of six characters, bytes escapes of four.
        type_ = node["type_expr"]["type_name"].lower()
        factor = {"json": 6, "blob": 4, "bytea": 4}.get(type_, 2)
        return _kept("cast", values[0] * factor + Length(_NUMBER), made)
    return _longest(values) if kind == "OPERATOR" else Length(_NUMBER)


def _kept(name: str, value: Length, made: list[Length]) -> Length:
    if value.fixed > LONGEST or value.times > _TIMES:
        raise TooLong(f"'{name}' may make a text of more than {LONGEST:,} bytes, or {_TIMES:,} times its columns'")
    # A number takes no memory of its own.
    if value != Length(_NUMBER) and name not in ("+", "add"):
        made.append(value)
    return value


def _function(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    total = sum(values, Length())
    if name in _PAIRWISE and total.fixed > _LONGEST_PAIR:
        raise TooLong(f"'{name}' should have constants of at most {_LONGEST_PAIR // 2:,} characters")
    if name in _SIZED:
        return _SIZED[name](name, arguments, values)
    if name in _CHOICES:
        return _longest(values)
    return total * _FACTORS[name] + Length(_NUMBER * len(values)) if name in _FACTORS else Length(_NUMBER)


def _repeat(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    return values[0] * max(_count(name, arguments, 1), 1)


def _pad(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    # Characters have up to four bytes.
    return values[0] + Length(4 * _count(name, arguments, 1))


def _replace(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    """Bound `replace` and `regexp_replace`, which put the third argument in place of each match of the second."""
    if len(values) < 3:
        return sum(values, Length())
    if values[2].times:
        raise TooLong(f"'{name}' should have a constant as third argument")
    found, new = _text(arguments[1]), _text(arguments[2])
    if name == "replace" and found and new is not None:
        factor = max(1, -(-len(new.encode()) // len(found.encode())))
    else:
        # A regular expression may match between any two characters; \0 stands for the match.
        factor = 1 + values[2].fixed + (values[2].fixed if new is None else len(re.findall(r"\\\d", new)))
    return values[0] * factor + values[2]


def _joined(name: str, _arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    """Bound a list, or several values, with a separator between the elements."""
    separator, joined = (values[0], values[1:]) if name == "concat_ws" else (sum(values[1:], Length()), values[:1])
    if separator.times:
        raise TooLong(f"'{name}' should have a constant separator")
    return sum(joined, Length(_NUMBER)) * (1 + separator.fixed) + separator * len(joined)


def _formatted(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    text = _text(arguments[0]) if arguments else ""
    if text is None:
        raise TooLong(f"'{name}' should have a constant format")
    # Widths that are themselves arguments: `%*d` and `{:{}}`.
    if re.search(r"%[^a-zA-Z%]*\*" if name == "printf" else r"\{[^}]*\{[^{]", text.replace("{{", "")):
        raise TooLong(f"'{name}' should have constant widths")
    places = text.count("%" if name == "printf" else "{")
    widths = sum(int(digits) if len(digits) < 9 else LONGEST + 1 for digits in re.findall(r"\d+", text))
    # A float such as 1e308 has 309 digits without an exponent.
    most = _longest([value + Length(_NUMBER + 320) for value in values[1:]])
    return Length(len(text.encode()) + 4 * widths) + most * places


def _extracted(name: str, arguments: Sequence[Mapping[str, Any]], values: Sequence[Length]) -> Length:
    path = _text(arguments[1]) if len(arguments) > 1 else ""
    if (path is None and _number(arguments[1]) is None) or (path and "*" in path):
        raise TooLong(f"'{name}' should have a constant path without '*'")
    return values[0] * 6 + Length(_NUMBER) if values else Length()


def _count(name: str, arguments: Sequence[Mapping[str, Any]], position: int) -> int:
    found = _number(arguments[position]) if len(arguments) > position else 0
    if found is None or found > LONGEST:
        raise TooLong(f"'{name}' should have a constant of at most {LONGEST:,} as argument {position + 1}")
    return max(found, 0)


def _text(node: Mapping[str, Any]) -> str | None:
    """Return a constant text; None for anything else."""
    literal = node.get("literal", {})
    return str(literal["text"]) if literal.get("kind") == "STRING" else None


def _number(node: Mapping[str, Any]) -> int | None:
    """Return a constant whole number; None for anything else."""
    literal = node.get("literal", {})
    return int(literal["text"]) if literal.get("kind") == "INTEGER" and len(literal["text"]) < 20 else None


def _longest(values: Sequence[Length]) -> Length:
    return Length(max((v.fixed for v in values), default=0), max((v.times for v in values), default=0))


# Functions whose value is one of their arguments, or a part of one.
_CHOICES = {
    "array_distinct", "array_extract", "array_reverse", "array_slice", "array_sort", "element_at", "greatest", "if", "least",
    "left", "left_grapheme", "list_distinct", "list_element", "list_extract", "list_first", "list_intersect", "list_last",
    "list_max", "list_median", "list_min", "list_reverse", "list_reverse_sort", "list_slice", "list_sort", "ltrim",
    "map_extract", "map_extract_value", "map_keys", "map_values", "nullif", "regexp_extract", "reverse", "right",
    "right_grapheme", "rtrim", "split_part", "struct_extract", "struct_extract_at", "substr", "substring",
    "substring_grapheme", "trim", "url_decode",
}  # fmt: skip
# Functions whose value has up to a multiple of the bytes of their arguments together, apart from 64 bytes for each. Text of
# bytes has up to four characters for each, a character of lower or upper case up to two bytes more.
_FACTORS = {
    **dict.fromkeys((
        "+", "add", "||", "array_append", "array_concat", "array_prepend", "concat", "decode", "flatten", "json_type",
        "list_append", "list_cat", "list_concat", "list_prepend", "list_value", "map", "overlay", "regexp_extract_all",
        "regexp_split_to_array", "split", "str_split", "str_split_regex", "string_split", "string_split_regex",
        "string_to_array", "strip_accents", "struct_pack", "dayname", "monthname", "md5", "sha1", "sha256", "chr", "to_base",
    ), 1),
    **dict.fromkeys(("base64", "to_base64", "hex", "to_hex", "regexp_escape", "lcase", "lower", "ucase", "upper"), 2),
    **dict.fromkeys(("nfc_normalize", "url_encode"), 3),
    **dict.fromkeys(("encode", "from_base64", "from_hex", "translate", "unhex"), 4),
    **dict.fromkeys(("bin", "to_binary"), 8),
    "strftime": 32,
}  # fmt: skip
_SIZED: dict[str, Callable[[str, Sequence[Mapping[str, Any]], Sequence[Length]], Length]] = {
    "repeat": _repeat,
    "lpad": _pad,
    "rpad": _pad,
    "replace": _replace,
    "regexp_replace": _replace,
    "array_to_string": _joined,
    "concat_ws": _joined,
    "format": _formatted,
    "printf": _formatted,
    **dict.fromkeys(("->>", "json_extract", "json_extract_path_text", "json_extract_string", "json_value"), _extracted),
}
