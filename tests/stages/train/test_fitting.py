"""The number of updates chosen from the data: small, noisy and unbalanced data, and given numbers of epochs."""

import numpy as np
import pytest
import tensorflow as tf

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError
from tiffin.stages.train import fitting, rows
from tiffin.stages.train.label import Label

BINARY = Label("y", "binary", ("0", "1"))
REGRESSION = Label("y", "regression", ())


def fit(encoded, target, label=BINARY, **settings):
    """Train on rows that are their own encoding."""
    encoded = np.array(encoded, np.float64)
    width = encoded.shape[1]
    kind = np.dtype([("numbers", np.float64, (width,)), ("indices", np.int16, (0,)), ("target", np.float64)])
    records = np.zeros(len(encoded), kind)
    records["numbers"], records["target"] = encoded, target
    encoder = rows.Encoder(lambda numbers, _: tf.cast(numbers, tf.float32), kind, width)
    return fitting.fit(rows.InMemory(records, encoder, len(label.classes)), width, label, Settings(**settings))


def probability(fitted, rows):
    return 1 / (1 + np.exp(-fitted.model(tf.constant(rows, tf.float32)).numpy()[:, 0]))


def data(count, width=4, seed=0):
    rows = np.random.default_rng(seed).uniform(size=(count, width))
    return rows, (rows[:, 0] > 0.5).astype(float)


@pytest.mark.parametrize(
    ("count", "width"),
    [(20, 1), (100, 4), (100, 30)],
)
def test_small_separable_data_is_learnt(count, width):
    rows, target = data(count, width)
    fitted = fit(rows, target)

    assert ((probability(fitted, rows) > 0.5) == target).mean() > 0.95
    assert fitted.settings.batch_size == 16
    assert len(fitted.losses) == fitted.settings.epochs
    # Checks are evenly spaced; 0.69 is the loss before the first epoch.
    curve = fitted.search
    assert [point.epoch % curve[0].epoch for point in curve] == [0] * len(curve)
    assert min(point.held_out for point in curve) < min(0.69, curve[-1].held_out)


def test_noise_is_not_learnt():
    chance = np.random.default_rng(2)
    rows, target = chance.uniform(size=(100, 300)), np.arange(100) % 2
    fitted = fit(rows, target)
    unseen = probability(fitted, chance.uniform(size=(1000, 300)))

    # The log loss on unseen labels, one half of each class, against that of guessing.
    assert -np.mean(np.log(unseen) / 2 + np.log(1 - unseen) / 2) < np.log(2) + 0.05


def test_rare_classes_keep_their_share():
    chance = np.random.default_rng(3)
    fitted = fit(chance.uniform(size=(400, 3)), np.arange(400) < 8)

    assert probability(fitted, chance.uniform(size=(1000, 3))).mean() == pytest.approx(0.02, abs=0.02)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_a_few_rows(count):
    fitted = fit([[float(number)] for number in range(count)], [number % 2 for number in range(count)])

    assert np.isfinite(probability(fitted, [[0.0], [9.0]])).all()


def test_regression(monkeypatch):
    # The loss of exact targets falls for as long as it may.
    monkeypatch.setattr(fitting, "_MAX_UPDATES", 600)
    rows, _ = data(300)
    target = (rows[:, 0] - rows[:, 0].mean()) / rows[:, 0].std()
    fitted = fit(rows, target, REGRESSION)

    assert np.mean((fitted.model(tf.constant(rows, tf.float32)).numpy()[:, 0] - target) ** 2) < 0.05


def test_the_same_data_and_seed_give_the_same_weights(monkeypatch):
    monkeypatch.setattr(fitting, "_MAX_UPDATES", 100)
    one, same, other = (fit(*data(60), seed=seed).model.get_weights() for seed in (1, 1, 2))

    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("count", "batch"), [(30, 16), (1000, 32), (2048, 128), (5000, 128)])
def test_the_batch_size_depends_on_the_rows(count, batch):
    assert fitting.batch_size_for(count, Settings()) == batch


def test_given_numbers_are_used():
    fitted = fit(*data(50), epochs=3, batch_size=200)

    assert (fitted.settings.epochs, fitted.settings.batch_size, len(fitted.losses)) == (3, 200, 3)
    assert fitted.search == ()


def test_large_data_is_trained_once(monkeypatch):
    monkeypatch.setattr(fitting, "_REFIT_ROWS", 1500)
    rows, target = data(2000)
    fitted = fit(rows, target)

    assert ((probability(fitted, rows) > 0.5) == target).mean() > 0.95
    assert len(fitted.losses) == fitted.settings.epochs > 0
    best = min(fitted.search, key=lambda point: point.held_out)
    assert (best.epoch, best.loss) == (fitted.settings.epochs, fitted.losses[-1])
    assert fitted.search[-1].epoch > best.epoch


def test_training_ends_at_the_limit_of_updates(monkeypatch):
    monkeypatch.setattr(fitting, "_MAX_UPDATES", 40)
    monkeypatch.setattr(fitting, "_MAX_EPOCHS", 1)
    rows, target = data(1600)

    assert fit(rows, target).settings.epochs <= 4


class TestDivergence:
    """A loss that is not finite ends the training with the epoch, the loss and the parameter to change."""

    @pytest.mark.parametrize("epochs", [0, 3])
    @pytest.mark.parametrize("label", [BINARY, REGRESSION])
    def test_of_the_loss(self, epochs, label):
        with pytest.raises(InputError, match=r"(nan|inf) .*epoch \d.*learning_rate.* 1e\+25\."):
            fit(*data(200), label, epochs=epochs, learning_rate=1e25)

    def test_of_the_last_update(self):
        # One update: its loss is that of the finite weights before it.
        with pytest.raises(InputError, match=r"'\S+/(kernel|bias)' .* of \d+ .*learning_rate.* 3e\+38\."):
            fit(*data(16), epochs=1, batch_size=16, learning_rate=3e38, weight_decay=1e3)

    @pytest.mark.parametrize(
        ("epoch", "before", "named"),
        [(0, [], "nan"), (1, [], "nan.*epoch 1"), (3, [1, 0.25], "nan.*epoch 3.*0.25.*epoch 2")],
    )
    def test_is_told_with_the_epoch(self, epoch, before, named):
        with pytest.raises(InputError, match=f"{named}.*Do it.$"):
            fitting.check_loss(float("nan"), "loss", epoch, before, "Do it.")

    def test_of_no_loss(self):
        assert fitting.check_loss(1.5, "loss", 1, [], "") == 1.5
