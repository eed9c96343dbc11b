"""SavedModels for tests: a linear model, an XLA model, and a model with many kinds of signatures."""

import pathlib
from collections.abc import Callable
from typing import Any


def save_score(path: pathlib.Path, bias: float, fails_above: float | None = None) -> None:
    """Save y = x · (1, 2, 3) + bias; `two` adds and subtracts; `defaults` does so with a default for b.

    With `fails_above`, requests with a larger x are errors.
    """
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.weights = tf.Variable([[1.0], [2.0], [3.0]])
    module.bias = tf.Variable(bias)
    numbers = tf.TensorSpec([None], tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    def score(x: Any) -> dict[str, Any]:
        checks = [] if fails_above is None else [tf.debugging.assert_less_equal(x, fails_above)]
        with tf.control_dependencies(checks):
            return {"y": tf.matmul(x, module.weights) + module.bias}

    @tf.function(input_signature=[numbers, numbers])
    def two(a: Any, b: Any) -> dict[str, Any]:
        return {"sum": a + b, "difference": a - b}

    signatures = {"serving_default": score, "two": two, "defaults": two}
    tf.saved_model.save(module, str(path), signatures=signatures)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    defaults = saved.meta_graphs[0].signature_def["defaults"].defaults
    defaults["b"].CopyFrom(tf.make_tensor_proto([10.0]))
    file.write_bytes(saved.SerializeToString())


def save_compiled(path: pathlib.Path) -> None:
    """Save y = 2x in a function compiled by XLA."""
    import tensorflow as tf

    doubled = tf.function(lambda x: x * 2.0, jit_compile=True)
    signature = [tf.TensorSpec([None], tf.float32, name="x")]
    module = tf.Module()
    module.score = tf.function(lambda x: {"y": doubled(x)}, input_signature=signature)
    tf.saved_model.save(module, str(path), signatures={"serving_default": module.score})


def save_tools(path: pathlib.Path) -> None:
    """Save signatures for tf.Example inputs, for many dtypes, and for slow runs."""
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    module = tf.Module()
    module.scale = tf.Variable(2.0)
    examples = [tf.TensorSpec([None], tf.string, name="inputs")]

    def parsed(inputs: Any) -> Any:
        return tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([], tf.float32, 0.0)})["x"] * module.scale

    def function(body: Callable[..., Any], signature: list[Any] | None = None) -> Any:
        return tf.function(body, input_signature=signature or examples)

    def classes(inputs: Any) -> Any:
        return tf.tile([["no", "yes"]], [tf.size(inputs), 1])

    def slow(n: Any) -> Any:
        # Matrix multiplication is slow and does not hold the GIL.
        body = lambda i, x: (i + 1, tf.matmul(x, x) * 0.001)  # noqa: E731
        _, x = tf.while_loop(lambda i, _: i < n[0], body, [0, tf.ones([200, 200])])
        return {"done": tf.reduce_sum(x)[None] * 0.0 + tf.cast(n, tf.float32)}

    def wait(paths: Any) -> Any:
        # A write to a named pipe blocks until a reader opens it.
        tf.io.write_file(paths[0], "begun")
        tf.io.write_file(paths[1], "over")
        return {"done": paths}

    types = [
        tf.TensorSpec([None], tf.int64, name="long"),
        tf.TensorSpec([None], tf.string, name="text"),
        tf.TensorSpec([None], tf.bool, name="flag"),
        tf.TensorSpec([None], tf.float64, name="double"),
        tf.TensorSpec([None], tf.uint8, name="byte"),
        tf.TensorSpec([None], tf.int32, name="int"),
    ]
    signatures = {
        "serving_default": function(lambda inputs: {"outputs": parsed(inputs)[:, None]}),
        "regress_flat": function(lambda inputs: {"outputs": parsed(inputs)}),
        "regress_wide": function(lambda inputs: {"outputs": tf.stack([parsed(inputs)] * 2, 1)}),
        "regress_double": function(lambda inputs: {"outputs": tf.cast(parsed(inputs), tf.float64)}),
        "regress_short": function(lambda inputs: {"outputs": parsed(inputs)[:1]}),
        "classify": function(
            lambda inputs: {"classes": classes(inputs), "scores": tf.stack([1 - parsed(inputs), parsed(inputs)], 1)}
        ),
        "classify_scores": function(lambda inputs: {"scores": parsed(inputs)[:, None]}),
        "classify_bytes": function(lambda inputs: {"classes": tf.fill([tf.size(inputs), 1], b"\xff\xfe")}),
        "classify_flat": function(lambda inputs: {"scores": parsed(inputs)}),
        "classify_labels": function(lambda inputs: {"classes": classes(inputs)}),
        "three": function(lambda inputs: {"a": inputs, "b": inputs, "c": inputs}),
        "other": function(lambda inputs: {"other": inputs}),
        "types": function(
            lambda long, text, flag, double, byte, int: {
                "long": long,
                "text": text,
                "text_bytes": text,
                "flag": flag,
                "double": double,
                "byte": byte,
                "int": int,
            },
            types,
        ),
        "half": function(lambda x: {"y": tf.cast(x, tf.float16)}, [tf.TensorSpec([None], tf.float32, name="x")]),
        "half_in": function(lambda x: {"y": tf.cast(x, tf.float32)}, [tf.TensorSpec([None], tf.float16, name="x")]),
        "scalar": function(lambda x: {"y": tf.reduce_sum(x)}, [tf.TensorSpec([None], tf.float32, name="x")]),
        "pair": function(
            lambda x: {"y": x, "total": tf.reduce_sum(x)[None]}, [tf.TensorSpec([None], tf.float32, name="x")]
        ),
        "slow": function(slow, [tf.TensorSpec([1], tf.int32, name="n")]),
        "wait": function(wait, [tf.TensorSpec([2], tf.string, name="paths")]),
    }
    tf.saved_model.save(module, str(path), signatures=signatures)
    file = path / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(file.read_bytes())
    named = saved.meta_graphs[0].signature_def
    named["regress_named"].CopyFrom(named["regress_flat"])
    named["regress_named"].method_name = "tensorflow/serving/regress"
    named["classify_named"].CopyFrom(named["classify"])
    named["classify_named"].method_name = "tensorflow/serving/classify"
    named["nonsense_named"].CopyFrom(named["half"])
    named["nonsense_named"].method_name = "nonsense"
    file.write_bytes(saved.SerializeToString())
