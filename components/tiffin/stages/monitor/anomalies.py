"""Check the inputs in the prediction log against the schema of the training data, by TFDV."""

from collections.abc import Mapping

from scipy import stats
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2

from tiffin.artifacts.anomalies import Anomaly
from tiffin.drift.profiles import Profile, Texts
from tiffin.drift.statistics import write_profiles
from tiffin.validation.anomalies import find_anomalies
from tiffin.validation.columns import Rules

SERVING = "SERVING"
NAME = "the prediction log"
# A share of missing or of new values violates the schema if it is above the allowed one by more than chance.
_LEVEL = 0.001


def check_inputs(profiles: Mapping[str, Profile], rows: int, schema: schema_pb2.Schema) -> tuple[Anomaly, ...]:
    """Return the violations of the schema, in its environment SERVING, that few rows do not explain.

    Columns that the log does not have at all are not among them: it may leave them out.

    Args:
        profiles: Input to its profile.
        rows: Number of rows.
        schema: Schema of the training data.
    """
    if not rows or not profiles:
        return ()
    features = {feature.name: feature for feature in schema.feature}
    known = schema_pb2.Schema()
    known.CopyFrom(schema)
    del known.feature[:]
    known.feature.extend(feature for name, feature in features.items() if name in profiles)
    known.ClearField("dataset_constraints")
    integers = {name for name, feature in features.items() if feature.type == schema_pb2.INT}
    dataset = write_profiles({name: one for name, one in profiles.items() if name in features}, NAME, rows, integers)
    found = find_anomalies(statistics_pb2.DatasetFeatureStatisticsList(datasets=[dataset]), known, environment=SERVING)
    rules = Rules(known)
    return tuple(one for one in found if not _is_chance(one, profiles.get(one.column), rules))


def _is_chance(anomaly: Anomaly, profile: Profile | None, rules: Rules) -> bool:
    """Return whether the rows are too few to tell that a share is above the allowed one."""
    if profile is None:
        return False
    feature = rules.find(anomaly.column)
    if anomaly.code == "FEATURE_TYPE_LOW_FRACTION_PRESENT":
        allowed = 1 - feature.presence.min_fraction
        return bool(stats.binom.sf(profile.missing - 1, profile.rows, allowed) > _LEVEL)
    if anomaly.code == "ENUM_TYPE_UNEXPECTED_STRING_VALUES" and isinstance(profile, Texts):
        allowed = (
            1 - feature.distribution_constraints.min_domain_mass
            if feature.HasField("distribution_constraints")
            else 0.0
        )
        listed = sum(profile.counts.get(value, 0) for value in rules.domain(anomaly.column))
        new = profile.present - listed
        return allowed > 0 and bool(stats.binom.sf(new - 1, profile.present, allowed) > _LEVEL)
    return False
