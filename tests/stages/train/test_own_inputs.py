"""The inputs and the output of a model of one's own, found and checked before it is trained."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tiffin.errors import InputError
from tiffin.stages.train import own_inputs, preprocessing
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.features import Category, Features, Number
from tiffin.stages.train.label import Label
from tiffin.stages.train.own_code import Code
from tiffin.stages.train.own_inputs import RawInput

CODE = Code("model.py", b"")
FEATURES = Features((Number("n", False, (0.0, 1.0, 3.0)),), (Category("c", ("a", "ü")),), {"z": "constant"})
OWNERS = preprocessing.build(FEATURES)[3]
BINARY = own_inputs.describe(FEATURES, OWNERS, Label("y", "binary", ("no", "yes")), (3, 1), Scale())
THREE = own_inputs.describe(FEATURES, OWNERS, Label("y", "multiclass", ("1", "2", "3")), (1, 1, 2), Scale())
NUMBER = own_inputs.describe(FEATURES, OWNERS, Label("y", "regression", ()), (), Scale(5.0, 2.0))
ROWS = tf.constant(np.linspace(0, 1, 3 * len(OWNERS)).reshape(3, -1), tf.float32)


def dense(inputs, units=1, **options):
    return keras.layers.Dense(units, **options)(inputs)


def encoded(units=1, **options):
    inputs = keras.Input((7,))
    return keras.Model(inputs, dense(inputs, units, **options))


class Net(keras.Model):
    """A model without declared inputs."""

    def __init__(self, function=None):
        super().__init__()
        self.last, self.function = keras.layers.Dense(1), function or (lambda rows, last: last(rows))

    def call(self, rows):
        return self.function(rows, self.last)


def test_the_description_has_the_positions_of_each_column():
    # Two bins and the flag of the number; missing, unknown and two values of the category.
    number, category = BINARY.columns

    assert (number.name, number.kind, number.whole, number.edges) == ("n", "number", False, (0.0, 1.0, 3.0))
    assert (category.name, category.kind, category.vocabulary) == ("c", "category", ("a", "ü"))
    assert (number.positions, category.positions) == ((0, 1, 2), (3, 4, 5, 6))
    assert (BINARY.width, BINARY.outputs, THREE.outputs, NUMBER.outputs) == (7, 1, 3, 1)
    assert (NUMBER.mean, NUMBER.deviation, NUMBER.counts) == (5.0, 2.0, ())


class TestFindInputs:
    @pytest.mark.parametrize(
        "make", [encoded, Net, lambda: keras.Sequential([keras.layers.Dense(1)]),
                 lambda: keras.Sequential([keras.Input((7,)), keras.layers.Dense(1)])],
    )  # fmt: skip
    def test_the_encoded_vector(self, make):
        assert own_inputs.find_inputs(make(), BINARY, CODE) == ()

    def test_raw_columns_in_a_dict(self):
        number = keras.Input((), name="n", dtype="float64")
        text = keras.Input((1,), name="c", dtype="string")
        model = keras.Model({"c": text, "n": number}, dense(keras.ops.cast(number[:, None], "float32")))

        assert set(own_inputs.find_inputs(model, BINARY, CODE)) == {
            RawInput("n", "float64", False), RawInput("c", "string", True)
        }  # fmt: skip

    @pytest.mark.parametrize("form", [list, lambda inputs: inputs[0]])
    def test_raw_columns_by_their_names(self, form):
        number = keras.Input((1,), name="n")

        assert own_inputs.find_inputs(keras.Model(form([number]), dense(number)), BINARY, CODE) == (
            RawInput("n", "float32", True),
        )

    def test_a_column_with_the_name_of_the_vector_is_no_raw_input(self):
        inputs = keras.Input((7,), name="n")

        assert own_inputs.find_inputs(keras.Model(inputs, dense(inputs)), BINARY, CODE) == ()

    @pytest.mark.parametrize(
        ("shape", "options", "named"),
        [
            ((6,), {"name": "x"}, r"'x'.*\[batch, 6\].* 7\..*n, c\."),
            ((7, 1), {"name": "x"}, r"'x'.*\[batch, 7, 1\]"),
            ((), {"name": "m"}, r"'m'.*\[batch\].*n, c\.$"),
            ((), {"name": "nn"}, r"'nn'.* 'n'\?$"),
            ((2,), {"name": "n"}, r"'n'.*\[batch, 2\].*\(1,\)"),
            ((), {"name": "n", "dtype": "int64"}, "'n', a number,.* int64.*'float32'.*'float64'"),
            ((), {"name": "c"}, "'c', a category,.* float32.*'string'.*'int32'.*'int64'"),
            ((7,), {"name": "x", "dtype": "float64"}, 'float64.*dtype="float32"'),
        ],
    )
    def test_other_inputs(self, shape, options, named):
        inputs = keras.Input(shape, **options)
        with pytest.raises(InputError, match=f"{named}") as caught:
            own_inputs.find_inputs(keras.Model(inputs, keras.ops.cast(inputs, "string")), BINARY, CODE)

        assert "'model.py'" in str(caught.value)

    def test_a_fixed_batch(self):
        inputs = keras.Input(batch_shape=(16, 7), name="x")
        with pytest.raises(InputError, match=r"'x'.*\[16, 7\]"):
            own_inputs.find_inputs(keras.Model(inputs, dense(inputs)), BINARY, CODE)


class TestRaw:
    def test_columns_that_are_no_inputs_are_left_out(self):
        found = own_inputs.only(FEATURES, [RawInput("c", "string", False)], CODE)

        assert found.columns == ["c"]
        assert found.left_out.keys() == {"z", "n"}
        assert "'model.py'" in found.left_out["n"]

    @pytest.mark.parametrize(
        ("dtype", "values"),
        [("string", [b"", b"a", "ü".encode(), b"[UNK]"]), ("int32", [0, 2, 3, 1]), ("int64", [0, 2, 3, 1])],
    )
    def test_the_matrix_has_the_values_of_the_columns(self, dtype, values):
        transform, encode, _, owners = preprocessing.build(FEATURES, raw=True)
        raw = {
            "n": tf.constant([1.5, np.nan, np.inf, 1.7e9 + 0.001], tf.float64),
            "c": tf.constant(["", "a", "ü", "new"]),
        }
        matrix = transform(raw)
        inputs = [RawInput("n", "float64", False), RawInput("c", dtype, True)]
        found = own_inputs.unpacking(inputs, FEATURES)(matrix)

        assert owners == ["n", "c"]
        np.testing.assert_array_equal(matrix, encode(raw["n"][:, None], tf.constant([[0], [2], [3], [1]], tf.int16)))
        # An infinite number is missing.
        np.testing.assert_array_equal(found["n"], [1.5, np.nan, np.nan, 1.7e9 + 0.001])
        assert found["c"].dtype == dtype
        assert found["c"].numpy()[:, 0].tolist() == values

    def test_the_model_gets_its_inputs_in_its_own_types(self):
        number, text = keras.Input((), name="n", dtype="float64"), keras.Input((1,), name="c", dtype="int32")
        total = keras.ops.cast(number[:, None] * 1e-9 + keras.ops.cast(text, "float64"), "float32")
        inputs = [RawInput("n", "float64", False), RawInput("c", "int32", True)]
        model = own_inputs.from_matrix(keras.Model([number, text], total), inputs, FEATURES)
        found = model(tf.constant([[1.7e9 + 1, 3.0], [5e8, 0.0]], tf.float64))

        np.testing.assert_allclose(found, [[4.700000001], [0.5]], rtol=1e-7)


class TestCheckOutput:
    @pytest.mark.parametrize(("described", "units"), [(BINARY, 1), (THREE, 3), (NUMBER, 1)])
    def test_the_shape_of_the_task(self, described, units):
        assert own_inputs.check_output(encoded(units), ROWS, described, CODE) is True

    def test_a_model_without_gradients(self):
        inputs = keras.Input((7,))
        steps = keras.ops.cast(keras.ops.cast(inputs, "int32"), "float32")

        assert own_inputs.check_output(keras.Model(inputs, dense(steps)), ROWS, BINARY, CODE) is False

    @pytest.mark.parametrize(
        ("described", "units", "wanted", "received"),
        [(BINARY, 2, 1, 2), (THREE, 1, 3, 1), (NUMBER, 3, 1, 3)],
    )
    def test_another_width(self, described, units, wanted, received):
        with pytest.raises(
            InputError, match=rf"\[batch, {wanted}\].*{described.task}.*\[batch, {received}\].*'model\.py'"
        ):
            own_inputs.check_output(encoded(units), ROWS, described, CODE)

    @pytest.mark.parametrize(
        ("function", "received"),
        [
            (lambda rows, last: last(rows)[:, 0], r"\[batch\]"),
            (lambda rows, last: last(rows)[None], r"\[1, batch, 1\]"),
            (lambda rows, last: tf.reduce_mean(last(rows)), r"\[\]"),
            (lambda rows, last: tf.reshape(last(rows), tf.shape(rows)[:1]), r"\[batch\]"),
            # Open in the graph: found with rows.
            (lambda rows, last: tf.py_function(lambda x: x, [last(rows)], tf.float32), "EagerPyFunc"),
            (lambda rows, last: tf.boolean_mask(last(rows), rows[:, 0] > 0.1), r"\[2, 1\]"),
            (lambda rows, last: [last(rows)] * 2, "list"),
            (lambda rows, last: {"y": last(rows)}, "dict"),
            (lambda rows, last: tf.cast(last(rows), tf.float64), "float64"),
            (lambda rows, last: tf.ensure_shape(tf.py_function(lambda x: x, [last(rows)], tf.float32), [None, 1]), "EagerPyFunc"),
        ],
    )  # fmt: skip
    def test_another_output(self, function, received):
        with pytest.raises(InputError, match=rf"{received}.*'model\.py'"):
            own_inputs.check_output(Net(function), ROWS, BINARY, CODE)

    @pytest.mark.parametrize(
        ("last", "name"),
        [
            (lambda x: dense(x, activation="sigmoid"), "sigmoid"),
            (lambda x: keras.layers.Activation("hard_sigmoid")(dense(x)), "hard_sigmoid"),
            (lambda x: keras.layers.Softmax()(dense(x, 3)), "softmax"),
            (lambda x: keras.ops.sigmoid(dense(x)), "sigmoid"),
            (keras.Sequential([keras.layers.Dense(3, activation="softmax")]), "softmax"),
        ],
    )
    def test_a_last_activation(self, last, name):
        inputs = keras.Input((7,))
        with pytest.raises(InputError, match=rf"'{name}'.*'model\.py'"):
            own_inputs.check_output(
                keras.Model(inputs, last(inputs)), ROWS, THREE if name == "softmax" else BINARY, CODE
            )

    def test_other_activations_are_the_user_s_choice(self):
        assert own_inputs.check_output(encoded(activation="tanh"), ROWS, NUMBER, CODE)


class TestStartAt:
    def test_sets_the_bias_of_the_last_layer(self):
        model = encoded(3)

        assert own_inputs.start_at(model, [0.1, 0.2, 0.3])
        np.testing.assert_allclose(model.layers[-1].bias, [0.1, 0.2, 0.3], rtol=1e-6)

    def test_of_a_model_in_a_model_and_a_sequential(self):
        inner = keras.Sequential([keras.layers.Dense(2), keras.layers.Dense(1)])
        inputs = keras.Input((7,))
        for model in (keras.Model(inputs, inner(inputs)), inner):
            inner.layers[-1].bias.assign([0.0])

            assert own_inputs.start_at(model, [0.5])
            assert inner.layers[-1].bias.numpy() == [0.5]

    @pytest.mark.parametrize(
        "make",
        [
            lambda: encoded(use_bias=False),
            lambda: encoded(bias_initializer="ones"),
            lambda: encoded(2),
            lambda: keras.Sequential([keras.Input((7,)), keras.layers.Dense(1), keras.layers.ReLU()]),
            Net,
        ],
    )
    def test_leaves_others_as_they_are(self, make):
        model = make()
        model(ROWS)
        before = model.get_weights()

        assert not own_inputs.start_at(model, [0.5])
        for one, other in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
