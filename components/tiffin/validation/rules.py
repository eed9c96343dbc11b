"""The rules of a given schema: what this stage checks. A schema with another rule is refused, so that no rule is ignored."""

from collections import Counter
from collections.abc import Iterator, Sequence

from google.protobuf.message import Message
from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin.errors import InputError

# Environment whose rules apply to examples.
TRAINING = "TRAINING"
# Fields of each message that are checked, or that state no rule.
_CHECKED = {
    "Schema": {"feature", "string_domain", "default_environment", "annotation", "dataset_constraints"},
    "DatasetConstraints": {"min_examples_count", "max_examples_count"},
    "Feature": {
        "name", "deprecated", "presence", "shape", "value_count", "type", "domain", "int_domain", "float_domain", "string_domain",
        "bool_domain", "time_domain", "distribution_constraints", "annotation", "in_environment", "not_in_environment",
        "lifecycle_stage", "unique_constraints", "drift_comparator", "skew_comparator",
    },
    "FeatureComparator": {"infinity_norm", "jensen_shannon_divergence"},
    "InfinityNorm": {"threshold"},
    "JensenShannonDivergence": {"threshold"},
    "IntDomain": {"name", "min", "max", "is_categorical"},
    "FloatDomain": {"name", "min", "max", "disallow_nan", "disallow_inf"},
    "TimeDomain": {"integer_format"},
}  # fmt: skip
# Rules of a column about other data, which validation does not check.
SKEW = ("skew_comparator",)
ANY = ("drift_comparator", *SKEW)
_COMPARATORS = {"num_examples_drift_comparator", "num_examples_version_comparator", "normalized_abs_difference"}


def check_rules(schema: schema_pb2.Schema, location: str) -> None:
    """Raise if a given schema has a rule that validation does not check.

    Args:
        schema: The given schema.
        location: Its location, for messages.

    Raises:
        InputError: The schema has such a rule, or contradicts itself.
    """
    found = list(_unchecked(schema))
    if not found:
        return
    listed = "; ".join(f"{rule} of {place}" for place, rule in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    compared = any(rule.rpartition(".")[2] in _COMPARATORS for _, rule in found)
    why = " Other data is compared by infinity_norm and jensen_shannon_divergence only." if compared else ""
    raise InputError(
        f"expected_schema should have only rules that validation checks.{why} Received: '{location}' with {listed}{more}. "
        "Remove these rules from the file."
    )


def find_compared(schema: schema_pb2.Schema, rules: Sequence[str] = ANY) -> list[str]:
    """Return the columns with one of the rules: by default a `drift_comparator` or a `skew_comparator`."""
    return [one.name for one in schema.feature if any(one.HasField(rule) for rule in rules)]


def _unchecked(schema: schema_pb2.Schema) -> Iterator[tuple[str, str]]:
    """Yield the place and the rule of everything that is not checked."""
    yield from (("the schema", rule) for rule in _fields(schema))
    domains = {domain.name for domain in schema.string_domain}
    names = Counter(feature.name for feature in schema.feature)
    yield from ((f"column '{name}'", f"{count} features") for name, count in names.items() if count > 1)
    for feature in schema.feature:
        place = f"column '{feature.name}'"
        yield from ((place, rule) for rule in _fields(feature))
        if feature.type == schema_pb2.STRUCT:
            yield place, "type: STRUCT"
        if feature.domain and feature.domain not in domains:
            yield place, f"domain: '{feature.domain}', which is no string_domain,"
        if feature.HasField("distribution_constraints") and not (feature.domain or feature.HasField("string_domain")):
            yield place, "distribution_constraints without a domain"
        if feature.HasField("unique_constraints") and feature.type != schema_pb2.BYTES:
            yield place, "unique_constraints, which are for type: BYTES,"
        if feature.time_domain.integer_format not in (0, schema_pb2.TimeDomain.UNIX_SECONDS):
            yield place, "time_domain.integer_format other than UNIX_SECONDS"
        for rule in ANY:
            if feature.HasField(rule) and not getattr(feature, rule).ListFields():
                yield place, f"{rule} without a threshold"
        if (feature.in_environment or feature.not_in_environment) and TRAINING not in schema.default_environment:
            yield place, f"environments without default_environment: '{TRAINING}'"
    if schema.default_environment and TRAINING not in schema.default_environment:
        yield "the schema", f"default_environment without '{TRAINING}'"


def _fields(message: Message, prefix: str = "") -> Iterator[str]:
    """Yield the fields that are set and not checked, with those of the messages inside."""
    checked = _CHECKED[message.DESCRIPTOR.name]
    for field, value in message.ListFields():
        if field.name not in checked:
            yield prefix + field.name
        elif field.message_type and field.message_type.name in _CHECKED and field.name != "feature":
            yield from _fields(value, f"{prefix}{field.name}.")
