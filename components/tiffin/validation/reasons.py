"""Describe an anomaly in plain words, with the values and shares that the statistics show."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.artifacts.numbers import format_share
from tiffin.artifacts.statistics import read_common
from tiffin.validation.columns import Rules, Split
from tiffin.validation.magnitudes import find_magnitude, read_range

# Codes of our own, beside TFDV's.
NO_EXAMPLES = "NO_EXAMPLES"
MAGNITUDE = "UNEXPECTED_MAGNITUDE"
NEW_VALUE = "FREQUENT_NEW_VALUE"

_LISTED = 3
_LONGEST = 40
_KINDS = {"INT": "integers", "FLOAT": "fractions", "STRING": "text"}
_EXPECTED = {"INT": "integers", "FLOAT": "numbers", "BYTES": "text"}


@dataclass(frozen=True)
class Finding:
    """What violates the schema.

    Attributes:
        code: TFDV's anomaly type, or one of our own.
        column: Name of the column in the examples; empty for the whole split.
        split: The split.
        rules: The schema.
        source: The split that the schema was inferred from; None for a given schema.
        text: TFDV's description.
    """

    code: str
    column: str
    split: Split
    rules: Rules
    source: Split | None
    text: str = ""

    @property
    def rule(self) -> schema_pb2.Feature:
        """The column's rules; without any if the schema does not have the column."""
        return self.rules.find(self.column)

    @property
    def found(self) -> statistics_pb2.FeatureNameStatistics:
        """The column's statistics in the split."""
        return self.split.find(self.column)

    @property
    def before(self) -> statistics_pb2.FeatureNameStatistics | None:
        """The column's statistics in the split that the schema was inferred from; None for a given schema."""
        return self.source.find(self.column) if self.source and self.source is not self.split else None

    @property
    def new_values(self) -> list[tuple[str, float]]:
        """The values that are not known, and their numbers of rows, the most frequent first.

        The known values are those of the column's domain; of free text, which has no domain, the most frequent ones before.
        """
        listed = self.before.string_stats.rank_histogram.buckets if self.before else ()
        known = set(self.rules.domain(self.column)) or {bucket.label for bucket in listed}
        return [
            (b.label, b.sample_count) for b in self.found.string_stats.rank_histogram.buckets if b.label not in known
        ]


def most_unlisted(column: statistics_pb2.FeatureNameStatistics) -> int:
    """Return the largest number of rows that a text may have which is not in the column's statistics; 0 if all are."""
    listed = column.string_stats.rank_histogram.buckets
    return int(listed[-1].sample_count) if column.string_stats.unique > len(listed) > 0 else 0


def explain(finding: Finding) -> tuple[str, str]:
    """Return what was found, and what the schema expects with what to do, both for the user."""
    for codes, describe in _DESCRIBED:
        if finding.code in codes:
            return describe(finding)
    return (
        f"breaks the rule {finding.code} in {finding.split.name}",
        finding.text or "See the column's rules in the schema.",
    )


def _no_examples(finding: Finding) -> tuple[str, str]:
    return f"{finding.split.name} has no rows", "Pass more data, or raise the split's weight in splits."


def _number_of_rows(finding: Finding) -> tuple[str, str]:
    rules = finding.rules.schema.dataset_constraints
    limits = [f"at least {rules.min_examples_count}"] if rules.min_examples_count else []
    limits += [f"at most {rules.max_examples_count}"] if rules.max_examples_count else []
    expected = " and ".join(limits)
    return (
        f"{finding.split.name} has {finding.split.rows} rows; {expected} expected",
        "See dataset_constraints.",
    )


def _missing_column(finding: Finding) -> tuple[str, str]:
    type_ = schema_pb2.FeatureType.Name(finding.rule.type)
    return (
        f"not in {finding.split.name}",
        f"The schema has this column as {_EXPECTED.get(type_, type_)}. Pass data that has it.",
    )


def _new_column(finding: Finding) -> tuple[str, str]:
    where = "in the environment TRAINING of the schema" if finding.rule.name else "in the schema"
    return (
        f"in {finding.split.name}, but not {where}",
        f"List the column in exclude, exclude={json.dumps([finding.column])}, or add it to the schema.",
    )


def _type(finding: Finding) -> tuple[str, str]:
    expected = schema_pb2.FeatureType.Name(finding.rule.type)
    kind = statistics_pb2.FeatureNameStatistics.Type.Name(finding.found.type)
    if kind == "STRING":
        labels = [(b.label, b.sample_count) for b in finding.found.string_stats.rank_histogram.buckets]
        odd = [(label, count) for label, count in labels if not _is_number(label)] or labels
        return (
            f"{_list_values(odd, finding)}, where the schema expects {_EXPECTED.get(expected, expected)}",
            "If such texts are missing values, list them in missing_values.",
        )
    numbers = finding.found.num_stats
    type_ = {"BYTES": "text", "INT": "integer"}.get(expected, "float")
    return (
        f"{_KINDS.get(kind, kind)} in {finding.split.name} from {numbers.min:.15g} to {numbers.max:.15g}, where the schema "
        f"expects {_EXPECTED.get(expected, expected)}",
        f"To read the column as {_EXPECTED.get(expected, expected)}, set types={json.dumps({finding.column: type_})}.",
    )


def _presence(finding: Finding) -> tuple[str, str]:
    missing = _missing(finding.found, finding.split)
    least = finding.rule.presence.min_fraction
    if missing == 1:
        what = f"missing in every row of {finding.split.name}"
    else:
        what = f"missing in {format_share(missing)} of {finding.split.name}"
    before = ""
    if finding.before and finding.source:
        before = f" and in {format_share(_missing(finding.before, finding.source))} of {finding.source.name}"
    allowed = f"at most {format_share(1 - least)}" if least else f"{finding.rule.presence.min_count} values"
    return f"{what}{before}; {allowed} expected", "See presence of the column in the schema."


def _values(finding: Finding) -> tuple[str, str]:
    rule = finding.rule
    where = f"in no row of {finding.source.name}" if finding.source else "not in the schema's values"
    mass = rule.distribution_constraints.min_domain_mass if rule.HasField("distribution_constraints") else 1.0
    allowed = f"; at most {format_share(1 - mass)} of new values expected" if mass < 1 else ""
    return (
        f"{_list_values(finding.new_values, finding)}, and {where}{allowed}",
        _list_domain(finding),
    )


def _new_value(finding: Finding) -> tuple[str, str]:
    most = most_unlisted(finding.before) if finding.before else 0
    where = (f"at most {most} {'row' if most == 1 else 'rows'}" if most else "no row") + (
        f" of {finding.source.name}" if finding.source else ""
    )
    listed = f" {_list_domain(finding)}" if finding.rules.domain(finding.column) else ""
    return (
        f"{_list_values(finding.new_values[:1], finding)}, and in {where}",
        f"Two splits of the same data do not differ so much by chance.{listed}",
    )


def _range(finding: Finding) -> tuple[str, str]:
    rule, numbers = finding.rule, finding.found.num_stats
    if rule.HasField("bool_domain"):
        low, high = 0.0, 1.0
    else:
        domain = rule.int_domain if rule.HasField("int_domain") else rule.float_domain
        low = domain.min if domain.HasField("min") else float("-inf")
        high = domain.max if domain.HasField("max") else float("inf")
    found = [f"a largest value of {numbers.max:.15g}"] if numbers.max > high else []
    found += [f"a smallest value of {numbers.min:.15g}"] if numbers.min < low else []
    return (
        f"{' and '.join(found)} in {finding.split.name}; {low:.15g} to {high:.15g} expected",
        "See the column's domain.",
    )


def _unique(finding: Finding) -> tuple[str, str]:
    limits = finding.rule.unique_constraints
    return (
        f"{finding.found.string_stats.unique} distinct values in {finding.split.name}; {limits.min} to {limits.max} expected",
        "See unique_constraints of the column in the schema.",
    )


def _value_count(finding: Finding) -> tuple[str, str]:
    limits = finding.rule.value_count
    return (
        f"1 value per row in {finding.split.name}; {limits.min} to {limits.max} expected",
        "Columns have at most one value per row: set value_count to 1.",
    )


def _magnitude(finding: Finding) -> tuple[str, str]:
    found = find_magnitude(finding.found.num_stats) or 0.0
    low, high = read_range(finding.rule) or (0.0, 0.0)
    before = find_magnitude(finding.before.num_stats) if finding.before else None
    if before and finding.source:
        factor = found / before
        change = f"{factor:.2g} times" if factor > 1 else f"1 / {1 / factor:.2g} of"
        what = f"the median in {finding.split.name} is {found:.4g}, about {change} the {before:.4g} in {finding.source.name}"
    else:
        what = f"the median in {finding.split.name} is {found:.4g}; {low:.4g} to {high:.4g} expected"
    return what, (
        "The unit may have changed. The median is of the absolute values other than 0. Its range "
        f"{low:.6g} to {high:.6g} is the tag median_magnitude of the column in the schema."
    )


_DESCRIBED: Sequence[tuple[tuple[str, ...], Callable[[Finding], tuple[str, str]]]] = (
    ((NO_EXAMPLES,), _no_examples),
    (("DATASET_LOW_NUM_EXAMPLES", "DATASET_HIGH_NUM_EXAMPLES"), _number_of_rows),
    (("SCHEMA_MISSING_COLUMN",), _missing_column),
    (("SCHEMA_NEW_COLUMN",), _new_column),
    (("UNEXPECTED_DATA_TYPE", "FLOAT_TYPE_STRING_NOT_FLOAT", "INT_TYPE_NOT_INT_STRING"), _type),
    (
        ("FEATURE_TYPE_NOT_PRESENT", "FEATURE_TYPE_LOW_FRACTION_PRESENT", "FEATURE_TYPE_LOW_NUMBER_PRESENT"),
        _presence,
    ),
    (("ENUM_TYPE_UNEXPECTED_STRING_VALUES", "BOOL_TYPE_UNEXPECTED_STRING"), _values),
    (
        (
            "BOOL_TYPE_BIG_INT", "BOOL_TYPE_SMALL_INT", "INT_TYPE_BIG_INT", "INT_TYPE_SMALL_INT", "FLOAT_TYPE_BIG_FLOAT",
            "FLOAT_TYPE_SMALL_FLOAT", "BOOL_TYPE_UNEXPECTED_FLOAT",
        ),
        _range,
    ),
    (("FEATURE_TYPE_HIGH_UNIQUE", "FEATURE_TYPE_LOW_UNIQUE"), _unique),
    (("FEATURE_TYPE_HIGH_NUMBER_VALUES", "FEATURE_TYPE_LOW_NUMBER_VALUES"), _value_count),
    ((MAGNITUDE,), _magnitude),
    ((NEW_VALUE,), _new_value),
)  # fmt: skip


def _list_domain(finding: Finding) -> str:
    known = sorted(set(finding.rules.domain(finding.column)))
    return (
        f"The schema has {len(known)} values: {', '.join(map(_quote, known[:10]))}{', ...' if len(known) > 10 else ''}."
    )


def _list_values(values: Sequence[tuple[str, float]], finding: Finding) -> str:
    """Return the most frequent of the values with their shares of the split's rows."""
    rows = max(1, finding.split.rows)
    listed = [f"{_quote(value)} in {format_share(count / rows)}" for value, count in values[:_LISTED]]
    if rest := values[_LISTED:]:
        listed.append(f"{len(rest)} more in {format_share(sum(count for _, count in rest) / rows)}")
    return f"{', '.join(listed)} of {finding.split.name}"


def _quote(value: str) -> str:
    return f"'{value if len(value) <= _LONGEST else value[:_LONGEST] + '...'}'"


def _missing(column: statistics_pb2.FeatureNameStatistics, split: Split) -> float:
    return 1 - float(read_common(column).num_non_missing) / max(1, split.rows)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
