"""TensorFlow Data Validation, imported in one place and without the noise of its import."""

import contextlib
import io
import os
import sys
import types
import warnings

from tiffin.validation import histograms, top_values

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def fingerprint64(text: str | bytes) -> int:
    """Return the FarmHash Fingerprint64 of a text, from 0 to 2⁶⁴ - 1, as pyfarmhash's function of this name does.

    Source: github.com/google/farmhash; TensorFlow holds it as the op Fingerprint.
    """
    import tensorflow as tf

    return int.from_bytes(tf.fingerprint([text]).numpy().tobytes(), "little")


try:
    import farmhash  # noqa: F401
except ImportError:
    # TFDV imports pyfarmhash, which has no wheel: it would ask every machine for a C++ compiler. Of its functions only
    # this one decides a result (whether two examples are skewed); the other spreads features over Beam's workers.
    sys.modules["farmhash"] = types.ModuleType("farmhash")
    sys.modules["farmhash"].fingerprint64 = fingerprint64  # type: ignore[attr-defined]

with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
    # Google's libraries announce the end of Python 3.11, and TFDV that there is no notebook.
    warnings.simplefilter("ignore")
    import tensorflow_data_validation as tfdv
    from tensorflow_data_validation.statistics import stats_impl
    from tensorflow_data_validation.statistics.generators import top_k_uniques_sketch_stats_generator
    from tensorflow_data_validation.utils import quantiles_util
    from tfx_bsl.sketches import KmvSketch

histograms.install(quantiles_util)
top_values.install(top_k_uniques_sketch_stats_generator)

__all__ = ["KmvSketch", "stats_impl", "tfdv"]
