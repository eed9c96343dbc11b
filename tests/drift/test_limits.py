"""Thresholds of distances."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin.drift.limits import THRESHOLDS, check_thresholds, read_limits
from tiffin.errors import InputError

_SCHEMA = text_format.Parse(
    """
    feature { name: "city"
      drift_comparator { infinity_norm { threshold: 0.3 } jensen_shannon_divergence { threshold: 0.4 } }
      skew_comparator { infinity_norm { threshold: 0.01 } } }
    feature { name: "km" }
    """,
    schema_pb2.Schema(),
)


def test_defaults():
    limits = read_limits()
    assert {measure: limits.find("km", measure) for measure in THRESHOLDS} == {
        measure: (threshold, "default") for measure, threshold in THRESHOLDS.items()
    }


def test_a_parameter_goes_before_the_schema_and_that_before_defaults():
    limits = read_limits({"wasserstein": 0.5, "city": {"infinity_norm": None}}, _SCHEMA)
    assert limits.find("km", "wasserstein") == (0.5, "parameter")
    assert limits.find("city", "infinity_norm") == (None, "parameter")
    assert limits.find("city", "jensen_shannon") == (0.4, "schema")
    assert limits.find("km", "jensen_shannon") == (0.02, "default")


def test_skew_has_its_own_comparator():
    assert read_limits(None, _SCHEMA, "skew").find("city", "infinity_norm") == (0.01, "schema")
    assert read_limits(None, _SCHEMA, "skew").find("city", "jensen_shannon") == (0.02, "default")


@pytest.mark.parametrize(
    "thresholds", [{"waserstein": 1}, {"km": {"psi": 1}}, {"wasserstein": -1}, {"wasserstein": "1"}, {"wasserstein": True},
                   {"km": {"wasserstein": float("nan")}}, [], "wasserstein"]
)  # fmt: skip
def test_wrong_thresholds(thresholds):
    with pytest.raises(InputError, match="thresholds"):
        check_thresholds(thresholds)


@pytest.mark.parametrize("level", [0, 1, -0.1, True, "0.1", None])
def test_wrong_level(level):
    with pytest.raises(InputError, match="level"):
        read_limits(level=level)
