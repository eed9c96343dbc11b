"""The curve of a training: long ones are thinned, and those of Keras are read."""

from types import SimpleNamespace

import keras
import pytest

from tiffin.artifacts.model import EpochLoss
from tiffin.stages.train.curve import from_history, thin


def curve(count, best, held_out=True):
    return [EpochLoss(n, 1.0 + (n != best), 2.0 + (n != best) if held_out else None) for n in range(1, count + 1)]


class TestThin:
    def test_of_nothing(self):
        assert thin([]) == ()

    def test_short_curves_stay(self):
        assert thin(curve(500, 7)) == tuple(curve(500, 7))

    @pytest.mark.parametrize("held_out", [True, False])
    @pytest.mark.parametrize("count", [501, 10_000])
    def test_first_best_and_last_stay(self, count, held_out):
        found = thin(curve(count, 334, held_out))
        epochs = [point.epoch for point in found]

        assert len(found) <= 500
        assert {1, 334, count} <= set(epochs)
        assert epochs == sorted(epochs)

    def test_the_best_has_the_lowest_held_out_loss(self):
        points = [EpochLoss(n, 1 / n, None if n == 1 else 0.5 + (n != 777)) for n in range(1, 1001)]

        assert 777 in [point.epoch for point in thin(points)]


class TestFromHistory:
    @staticmethod
    def model(**logs):
        history = keras.callbacks.History()
        history.history = logs
        return SimpleNamespace(history=history)

    @pytest.mark.parametrize("model", [SimpleNamespace(), SimpleNamespace(history={"loss": [1.0]})])
    def test_of_a_model_that_keras_did_not_fit(self, model):
        assert from_history(model) == ()

    def test_of_no_epoch(self):
        assert from_history(self.model()) == ()

    def test_with_and_without_held_out_losses(self):
        assert from_history(self.model(loss=[3, 2.5], val_loss=[4.0, 3.5])) == (
            EpochLoss(1, 3.0, 4.0), EpochLoss(2, 2.5, 3.5),
        )  # fmt: skip
        # validation_freq=2
        assert from_history(self.model(loss=[3, 2.5], val_loss=[4.0])) == (
            EpochLoss(1, 3.0, None),
            EpochLoss(2, 2.5, None),
        )

    @pytest.mark.parametrize("loss", [[float("nan")], [[1.0, 2.0]], ["1.0"], [None]])
    def test_of_losses_that_are_no_numbers(self, loss):
        assert from_history(self.model(loss=loss)) == ()
