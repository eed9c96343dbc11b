"""Rules of a given schema that validation does not check are refused."""

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin.errors import InputError
from tiffin.validation.rules import check_rules


def check(text):
    check_rules(text_format.Parse(text, schema_pb2.Schema()), "s.pbtxt")


def feature(rules, type_="INT"):
    return f"feature {{ name: 'fare' type: {type_} {rules} }}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (feature("drift_comparator {}", "BYTES"), "drift_comparator without a threshold"),
        (feature("skew_comparator { normalized_abs_difference { threshold: 0.1 } }"), "normalized_abs_difference"),
        (feature("natural_language_domain {}", "BYTES"), "natural_language_domain"),
        (feature("url_domain {}", "BYTES"), "url_domain"),
        (feature("group_presence { required: true }"), "group_presence"),
        (feature("time_domain { string_format: '%Y' }", "BYTES"), r"time_domain\.string_format"),
        (feature("time_domain { integer_format: UNIX_MILLISECONDS }"), r"integer_format"),
        (feature("float_domain { is_embedding: true }", "FLOAT"), r"float_domain\.is_embedding"),
        (feature("domain: 'colors'", "BYTES"), "'colors'"),
        (feature("distribution_constraints { min_domain_mass: 0.9 }", "BYTES"), "distribution_constraints"),
        (feature("unique_constraints { min: 1 }"), "unique_constraints"),
        (feature("not_in_environment: 'TRAINING'"), "default_environment"),
        (feature("", "STRUCT"), "STRUCT"),
        (feature("") + feature("", "FLOAT"), "2 features"),
    ],
)
def test_a_rule_of_a_column(text, rule):
    with pytest.raises(InputError, match=rf"'s\.pbtxt'.*{rule}.*column 'fare'"):
        check(text)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (
            "dataset_constraints { num_examples_drift_comparator {} }",
            r"dataset_constraints\.num_examples_drift_comparator",
        ),
        ("dataset_constraints { num_examples_version_comparator {} }", "num_examples_version_comparator"),
        ("sparse_feature { name: 's' }", "sparse_feature"),
        ("weighted_feature { name: 'w' }", "weighted_feature"),
        ("float_domain { name: 'f' }", "float_domain"),
        ("tensor_representation_group { key: 'a' value {} }", "tensor_representation_group"),
        ("represent_variable_length_as_ragged: true", "represent_variable_length_as_ragged"),
        ("default_environment: 'SERVING'", "default_environment"),
    ],
)
def test_a_rule_of_the_schema(text, rule):
    with pytest.raises(InputError, match=rf"'s\.pbtxt'.*{rule}"):
        check(text)


def test_the_first_five_are_listed():
    many = "".join(f"feature {{ name: 'c{number}' drift_comparator {{}} }}" for number in range(7))
    with pytest.raises(InputError, match=r"'c0'.*'c4'; and 2 more") as raised:
        check(many)

    assert "'c5'" not in str(raised.value)


def test_rules_that_are_checked_pass():
    check(
        """
        feature {
          name: 'fare' type: FLOAT presence { min_fraction: 0.9 } value_count { max: 1 }
          float_domain { min: 0 max: 9 } annotation { tag: 't' } lifecycle_stage: PRODUCTION not_in_environment: 'SERVING'
        }
        feature {
          name: 'city' type: BYTES drift_comparator { infinity_norm { threshold: 0.1 } }
          skew_comparator { jensen_shannon_divergence { threshold: 0.1 } }
        }
        feature { name: 'when' type: INT time_domain { integer_format: UNIX_SECONDS } }
        feature {
          name: 'kind' type: BYTES domain: 'kind' distribution_constraints { min_domain_mass: 0.9 } unique_constraints { max: 9 }
        }
        string_domain { name: 'kind' value: 'a' }
        default_environment: ['TRAINING', 'SERVING']
        dataset_constraints { min_examples_count: 10 }
        """
    )
