"""Find the statistics of a split, and the rules of a schema, by column."""

from dataclasses import dataclass
from functools import cached_property

from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.validation.statistics import read_groups

_NO_STATISTICS = statistics_pb2.FeatureNameStatistics(string_stats=statistics_pb2.StringStatistics())


@dataclass(frozen=True)
class Split:
    """The statistics of one split."""

    dataset: statistics_pb2.DatasetFeatureStatistics

    @property
    def name(self) -> str:
        """Name of the split."""
        return str(self.dataset.name)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.dataset.num_examples)

    @cached_property
    def columns(self) -> dict[str, statistics_pb2.FeatureNameStatistics]:
        """Name of a column to its statistics."""
        return {column.path.step[0]: column for column in self.dataset.features}

    @cached_property
    def groups(self) -> int | None:
        """Number of distinct values of the key that decides the split; None without a key."""
        counts = map(read_groups, self.dataset.features)
        return next((count for count in counts if count is not None), None)

    def find(self, column: str) -> statistics_pb2.FeatureNameStatistics:
        """Return the statistics of a column; without any if the split does not have it."""
        return self.columns.get(column, _NO_STATISTICS)

    def draws(self, rows: float | None = None) -> int:
        """Return how many rows were drawn into the split independently of one another: with a key, one per value of the key.

        Args:
            rows: Number of rows to count in; None for all. With a key, as many of its values count.
        """
        share = 1.0 if self.groups is None else min(1.0, self.groups / max(1, self.rows))
        return round(share * (self.rows if rows is None else rows))


@dataclass(frozen=True)
class Rules:
    """The rules of a schema."""

    schema: schema_pb2.Schema

    @cached_property
    def columns(self) -> dict[str, schema_pb2.Feature]:
        """Name of a column to its rules."""
        return {feature.name: feature for feature in self.schema.feature}

    @cached_property
    def _domains(self) -> dict[str, schema_pb2.StringDomain]:
        return {domain.name: domain for domain in self.schema.string_domain}

    def find(self, column: str) -> schema_pb2.Feature:
        """Return the rules of a column; without any if the schema does not have it."""
        return self.columns.get(column, schema_pb2.Feature())

    def domain(self, column: str) -> list[str]:
        """Return the values that a column of texts may have; empty if the schema does not list them."""
        rule = self.find(column)
        if rule.HasField("bool_domain"):
            return [rule.bool_domain.true_value, rule.bool_domain.false_value]
        if rule.HasField("string_domain"):
            return list(rule.string_domain.value)
        return list(self._domains[rule.domain].value) if rule.domain in self._domains else []
