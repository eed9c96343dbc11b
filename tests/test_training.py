"""What the code of a model of one's own receives, without a training."""

import math
import subprocess
import sys

import pytest

from tiffin.artifacts.model import Settings
from tiffin.training import Column, Context, Features

KM = Column("km", "number", edges=(0.0, 5.0, 9.0), positions=(0, 1, 2))
CITY = Column("city", "category", vocabulary=("a", "b"), positions=(3, 4, 5, 6))


def features(task="binary", classes=("no", "yes"), counts=(3, 1)):
    return Features((KM, CITY), 7, "late", task, classes, counts)


def test_no_rows():
    assert features(counts=(0, 0)).prior == (0.0,)
    assert features(counts=(0, 0)).class_weights == {0: 0.0, 1: 0.0}
    assert features("regression", (), ()).prior == (0.0,)
    assert features("regression", (), ()).class_weights == {}


@pytest.mark.parametrize(
    ("task", "classes", "outputs"), [("binary", "ab", 1), ("multiclass", "abc", 3), ("regression", "", 1)]
)
def test_outputs(task, classes, outputs):
    found = features(task, tuple(classes), (1,) * len(classes))

    assert found.outputs == len(found.prior) == outputs


def test_the_prior_is_the_logits_of_the_class_shares():
    # Half a row more per class: 3.5 of 5 and 1.5 of 5.
    assert features().prior == pytest.approx((math.log(1.5 / 3.5),))
    assert features("multiclass", ("a", "b", "c"), (3, 1, 0)).prior == pytest.approx(
        tuple(math.log(share / 5.5) for share in (3.5, 1.5, 0.5))
    )


def test_class_weights_make_all_classes_equal():
    # 4 rows in 2 classes: 4 / (2 * 3) and 4 / (2 * 1).
    assert features().class_weights == pytest.approx({0: 2 / 3, 1: 2.0})
    assert features("multiclass", ("a", "b", "c"), (3, 1, 0)).class_weights == pytest.approx({0: 2 / 3, 1: 2.0, 2: 0.0})


def test_columns():
    assert features().column("city") is CITY
    assert (CITY.indices, KM.indices) == (4, 0)
    with pytest.raises(KeyError, match=r"'town'.*km, city"):
        features().column("town")


def test_a_context_asks_the_training():
    calls = []
    context = Context(
        features(), {"units": 8}, Settings(), 4, lambda *given: calls.append(given), lambda *given: calls.append(given)
    )
    context.batches("model")
    context.batches("model", "held_out", batch_size=8, shuffle=False)
    context.report(0.5)
    context.report(0.5, 0.25)

    assert calls == [("model", "train", 0, True), ("model", "held_out", 8, False), (0.5, None), (0.5, 0.25)]


def test_the_module_is_light():
    script = "import sys, tiffin.training; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {"kfp", "numpy", "tensorflow", "keras", "grpc", "duckdb"} & set(loaded)
