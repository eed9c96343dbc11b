"""Schema inference and the checks of the label."""

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from support.written import table, write_examples
from tiffin.artifacts.statistics import find_split
from tiffin.errors import DataError, InputError
from tiffin.stages.validate import schema, statistics

TRAIN = table(
    whole=list(range(200)),
    some=[None if row % 4 == 0 else row / 2 for row in range(200)],
    rare=[1.5] + [None] * 199,
    word=["x" if row % 2 else "y" for row in range(200)],
    late=[row % 2 for row in range(200)],
    never=[None] * 200,
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    examples = write_examples(
        tmp_path_factory.mktemp("examples"), {"train": TRAIN, "eval": TRAIN.slice(0, 10), "none": TRAIN.slice(0, 0)}
    )
    return statistics.compute(examples)


@pytest.fixture(scope="module")
def inferred(found):
    return {feature.name: feature for feature in schema.infer(found, "late").feature}


class TestInfer:
    def test_types(self, inferred):
        assert {name: schema_pb2.FeatureType.Name(feature.type) for name, feature in inferred.items()} == {
            "whole": "INT", "some": "FLOAT", "rare": "FLOAT", "word": "BYTES", "late": "INT", "never": "BYTES",
        }  # fmt: skip

    def test_a_complete_column_tolerates_one_percent_missing_values(self, inferred):
        assert inferred["whole"].presence.min_fraction == 0.99
        assert inferred["some"].presence.min_fraction == 0

    def test_a_rare_column_may_be_absent(self, inferred):
        assert (inferred["rare"].presence.min_count, inferred["never"].presence.min_count) == (0, 0)
        assert inferred["some"].presence.min_count == 1

    def test_a_category_tolerates_five_percent_new_values(self, inferred):
        assert inferred["word"].domain == "word"
        assert inferred["word"].distribution_constraints.min_domain_mass == 0.95

    def test_the_label_is_required_in_training_only(self, found, inferred):
        assert inferred["late"].presence.min_fraction == 1.0
        assert list(inferred["late"].not_in_environment) == ["SERVING"]
        assert list(schema.infer(found, "late").default_environment) == ["TRAINING", "SERVING"]
        assert list(schema.infer(found).default_environment) == []

    def test_an_unknown_split(self, found):
        with pytest.raises(InputError, match=r"eval, none, train\..*split='trian'.*'train'"):
            schema.infer(found, split="trian")


class TestCheckLabel:
    def check(self, tmp_path, values):
        examples = write_examples(tmp_path, {"train": table(fare=[1] * len(values), label=values)})
        schema.check_label(find_split(statistics.compute(examples), "train"), "label")

    def test_a_split_without_rows(self, found):
        with pytest.raises(DataError, match=r"split 'none'.* 0 rows"):
            schema.check_label(find_split(found, "none"), "late")

    def test_an_unknown_label(self, found):
        with pytest.raises(InputError, match=r"label='lat'\..*'late'\?.*: whole, some, rare, word,"):
            schema.check_label(find_split(found, "train"), "lat")

    def test_a_label_without_values(self, tmp_path):
        with pytest.raises(DataError, match=r"label='label'.* 0 .*'train'"):
            self.check(tmp_path, [None, None])

    @pytest.mark.parametrize(("values", "value"), [([1, 1], "1"), ([0.5, None], "0.5"), (["yes", "yes", None], "yes")])
    def test_a_label_with_one_value(self, tmp_path, values, value):
        with pytest.raises(DataError, match=rf"label='label'.* {value} .*'train'"):
            self.check(tmp_path, values)

    @pytest.mark.parametrize("values", [[0, 1], [0.5, 0.6], ["yes", "no"], [0, None, 1]])
    def test_a_label_with_two_values(self, tmp_path, values):
        self.check(tmp_path, values)
