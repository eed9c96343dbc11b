"""Schema inference and the checks of the label."""

from dataclasses import replace

import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.schema import write_schema
from tiffin.artifacts.statistics import find_split
from tiffin.errors import DataError, InputError
from tiffin.validation import schema, statistics
from tiffin.validation.tfdv import tfdv

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

    def test_a_rare_column_may_be_absent(self, inferred):
        assert (inferred["rare"].presence.min_count, inferred["never"].presence.min_count) == (0, 0)
        assert not inferred["rare"].presence.HasField("min_fraction")
        assert inferred["some"].presence.min_count == 1

    def test_the_label_is_required_in_training_only(self, found, inferred):
        assert inferred["late"].presence.min_count == 1
        assert list(inferred["late"].not_in_environment) == ["SERVING"]
        assert list(schema.infer(found, "late").default_environment) == ["TRAINING", "SERVING"]
        assert list(schema.infer(found).default_environment) == []

    def test_an_unknown_split(self, found):
        with pytest.raises(InputError, match=r"eval, none, train\..*split='trian'.*'train'"):
            schema.infer(found, split="trian")


class TestTolerances:
    """The shares of missing and new values that an inferred schema allows, by the number of rows."""

    def infer(self, folder, train, eval_, **extra):
        def rows(count):
            words = [f"w{row % 4}" for row in range(count)]
            return table(n=[row % 7 + 1 for row in range(count)], word=words, **{k: v(count) for k, v in extra.items()})

        found = statistics.compute(write_examples(folder, {"train": rows(train), "eval": rows(eval_)}))
        inferred = schema.infer(found)
        return {feature.name: feature for feature in inferred.feature}, inferred

    @pytest.mark.parametrize(
        ("train", "eval_", "missing", "new"),
        # With many rows, the shares that are always tolerated. Of 6 given rows among 70 and 30, all are in the 30 with a
        # probability of 30 / 100 * ... * 25 / 95 = 0.0005, and the risk of a rule is 0.005 / 3 rules / 2 columns = 0.0008.
        [
            (20_000, 10_000, 0.01, 0.05),
            (2000, 1000, 0.01, 0.05),
            (200, 100, 6.5 / 100, 7.5 / 100),
            (70, 30, 5.5 / 30, 6.5 / 30),
        ],
    )
    def test_are_smaller_with_more_rows(self, tmp_path, train, eval_, missing, new):
        features, _ = self.infer(tmp_path, train, eval_)

        assert 1 - features["n"].presence.min_fraction == pytest.approx(missing, abs=1e-4)
        assert 1 - features["word"].distribution_constraints.min_domain_mass == pytest.approx(new, abs=1e-4)

    @pytest.mark.parametrize(("every", "allowed"), [(20, 0.1), (4, 0.5), (2, 0.75)])
    def test_missing_values_may_double_or_half_of_the_values_be_gone(self, tmp_path, every, allowed):
        features, _ = self.infer(
            tmp_path, 4000, 2000, some=lambda count: [row if row % every else None for row in range(count)]
        )

        assert 1 - features["some"].presence.min_fraction == pytest.approx(allowed, abs=1e-4)

    @pytest.mark.parametrize("count", [200, 2 * statistics.VOCABULARY])
    def test_free_text_has_no_list_of_values(self, tmp_path, count):
        features, inferred = self.infer(
            tmp_path, count, 100, name=lambda count: [f"name {row}" for row in range(count)]
        )

        assert not features["name"].domain
        assert [domain.name for domain in inferred.string_domain] == ["word"]

    def test_some_rare_values_are_allowed_for(self, tmp_path):
        def cities(count):
            return [f"c{row % 5}" if row % 10 else f"rare {row}" for row in range(count)]

        features, _ = self.infer(tmp_path, 2000, 1000, city=cities)

        assert 0.10 < 1 - features["city"].distribution_constraints.min_domain_mass < 0.18

    def test_0_and_1_are_numbers(self, tmp_path):
        features, _ = self.infer(tmp_path, 200, 100, cars=lambda count: [row % 2 for row in range(count)])

        assert features["cars"].WhichOneof("domain_info") is None

    def test_true_and_false_in_text_are_values_like_others(self, tmp_path):
        features, inferred = self.infer(tmp_path, 200, 100, ok=lambda count: ["true", "false"] * (count // 2))

        assert features["ok"].domain == "ok"
        assert {domain.name: list(domain.value) for domain in inferred.string_domain}["ok"] == ["false", "true"]

    def test_dates_have_no_range_and_booleans_a_domain(self, tmp_path):
        rows = table(day=[row * 86_400 for row in range(200)], paid=[row % 2 for row in range(200)])
        folder = write_examples(tmp_path, {"train": rows, "eval": rows})
        manifest = read_manifest(folder)
        columns = tuple(Column(name, "INT", logical) for name, logical in (("day", "date"), ("paid", "boolean")))
        documents.write(folder / MANIFEST, replace(manifest, columns=columns))
        day, paid = schema.infer(statistics.compute(folder)).feature

        assert day.time_domain.integer_format == schema_pb2.TimeDomain.UNIX_SECONDS
        assert not day.annotation.tag
        assert paid.HasField("bool_domain")

    def test_with_a_key_the_groups_count(self, tmp_path):
        shop = [f"s{row // 20}" for row in range(800)]
        rows = table(shop=shop, n=[row % 7 + 1 for row in range(800)])
        folder = write_examples(tmp_path, {"train": rows, "eval": rows.slice(0, 400)})
        documents.write(folder / MANIFEST, replace(read_manifest(folder), key="shop"))
        features = {feature.name: feature for feature in schema.infer(statistics.compute(folder)).feature}

        # As of 40 and 20 rows; the values of the key differ between the splits.
        assert 0.6 < features["n"].presence.min_fraction < 0.75
        assert not features["shop"].domain

    def test_are_read_by_tfdv_as_written(self, tmp_path):
        _, inferred = self.infer(tmp_path / "examples", 200, 100)
        write_schema(tmp_path / "schema", inferred)

        assert tfdv.load_schema_text(str(tmp_path / "schema" / "schema.pbtxt")) == inferred


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
        with pytest.raises(DataError, match=r"label='label'.*'train'"):
            self.check(tmp_path, [None, None])

    @pytest.mark.parametrize(("values", "value"), [([1, 1], "1"), ([0.5, None], "0.5"), (["yes", "yes", None], "yes")])
    def test_a_label_with_one_value(self, tmp_path, values, value):
        with pytest.raises(DataError, match=rf"label='label'.* {value} .*'train'"):
            self.check(tmp_path, values)

    @pytest.mark.parametrize("values", [[0, 1], [0.5, 0.6], ["yes", "no"], [0, None, 1]])
    def test_a_label_with_two_values(self, tmp_path, values):
        self.check(tmp_path, values)
