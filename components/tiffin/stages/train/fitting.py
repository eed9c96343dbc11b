"""Train the network for a given number of epochs, or for a number chosen from the data.

Without a given number, part of the rows is held out. The network trains at a constant rate on the others until the loss on
the held-out rows stops falling; an exponential average of its weights is evaluated, which is as good as a decaying rate and
needs no number of epochs in advance (Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992).
Below 1000 rows, five such trainings advance together, each with another fifth held out: the few rows of one fifth say little.
Below 20,000 rows, the network then trains again on all rows for the number of updates that was best.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tiffin.artifacts.model import EpochLoss, Settings
from tiffin.errors import InputError
from tiffin.printing import printable
from tiffin.stages.train import network
from tiffin.stages.train.curve import thin
from tiffin.stages.train.label import Label
from tiffin.stages.train.rows import Block, InMemory, OnDisk

_REFIT_ROWS = 20_000
# Updates: between checks of the held-out loss, after the best check before training stops, and at most.
_CHECK_UPDATES = 20
_PATIENCE_UPDATES = 200
_PATIENCE_SHARE = 0.3
_MAX_UPDATES = 8000
_MAX_EPOCHS = 8  # if these are more than _MAX_UPDATES
_AVERAGE = 0.995


@dataclass(frozen=True)
class Own:
    """A network of one's own, in place of Tiffin's.

    Attributes:
        model: The network in training.
        copy: Another one of the same form, for the averages of the weights.
        advice: What to do if the training diverges, a sentence.
    """

    model: keras.Model
    copy: keras.Model
    advice: str


@dataclass(frozen=True)
class Fitted:
    """A trained network.

    Attributes:
        model: Maps `[batch, width]` to the output described in `network.build`.
        losses: Mean training loss of each epoch.
        settings: Settings with the number of epochs and the batch size that were used.
        reason: Why training stopped, in one line.
        search: Curve of the training that chose the number of epochs; empty without one.
    """

    model: keras.Model
    losses: tuple[float, ...]
    settings: Settings
    reason: str
    search: tuple[EpochLoss, ...] = ()


def make_repeatable(seed: int) -> None:
    """Set the random seed, and let TensorFlow use deterministic operations only."""
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()


def batch_size_for(rows: int, settings: Settings) -> int:
    """Return the batch size: that of the settings, or one for the number of rows."""
    # A power of 2 from 16 to 128, at least 16 batches per epoch if possible.
    return settings.batch_size or 2 ** int(np.clip(np.log2(max(1, rows / 16)), 4, 7))


def fit(data: InMemory | OnDisk, width: int, label: Label, settings: Settings, own: Own | None = None) -> Fitted:
    """Train a network. The same data and settings give the same weights on the same machine.

    Args:
        data: Training rows.
        width: Width of the encoded rows.
        label: Label to predict.
        settings: Training settings.
        own: A network of one's own. Defaults to Tiffin's.

    Raises:
        InputError: A loss, or a weight of the trained network, is not finite.
    """
    make_repeatable(settings.seed)
    rows = data.rows
    batch = batch_size_for(rows, settings)
    settings = replace(settings, batch_size=batch)
    advice = own.advice if own else f"Lower learning_rate, which is {settings.learning_rate:g}."
    if settings.epochs:
        rate = keras.optimizers.schedules.CosineDecay(settings.learning_rate, settings.epochs * -(-rows // batch))
        loop = _Loop(data, width, label, settings, rate, 0.0, own)
        losses = _train(loop, data, settings, advice, log=True)
        check_weights(loop.averaged, advice)
        return Fitted(loop.averaged, losses, settings, "as set")
    loop = _Loop(data, width, label, settings, settings.learning_rate, _AVERAGE, own)
    start = loop.state()
    found = _search(loop, data, settings, advice)
    epochs, losses, reason = found.epochs, found.losses, found.reason
    if rows < _REFIT_ROWS and epochs:
        loop.load(start)
        epochs = max(1, round(found.updates / -(-rows // batch)))
        losses = _train(loop, data, replace(settings, epochs=epochs), advice)
        reason += "; then trained on all rows"
    else:
        loop.averaged.set_weights(found.weights)
    check_weights(loop.averaged, advice)
    return Fitted(loop.averaged, losses, replace(settings, epochs=epochs), reason, thin(found.curve))


class _Loop:
    """The network in training, the average of its weights, and the functions of TensorFlow that advance both.

    Attributes:
        averaged: Network with the averaged weights.
        state: Returns the values of all variables, including the optimizer's and the states of dropout.
        load: Sets all variables to such values.
    """

    def __init__(
        self,
        data: InMemory | OnDisk,
        width: int,
        label: Label,
        settings: Settings,
        rate: Any,
        average: float,
        own: Own | None,
    ) -> None:
        if own:
            model, self.averaged = own.model, own.copy
        else:
            model = network.build(width, data.counts, label, settings)
            self.averaged = keras.models.clone_model(model)
        self.averaged.set_weights(model.get_weights())
        optimizer = keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay)
        optimizer.build(model.trainable_variables)
        variables = [v.value for v in (*model.variables, *optimizer.variables, *self.averaged.variables)]
        weights, averages = model.trainable_variables, self.averaged.trainable_variables
        # Of a model of one's own, such as the moving means of a batch normalization: they are averages already.
        states = list(zip(self.averaged.non_trainable_weights, model.non_trainable_weights, strict=True))
        loss, batch = network.loss_for(label), settings.batch_size

        def update(encoded: tf.Tensor, truth: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                value = loss(tf.gather(truth, rows)[:, None], model(tf.gather(encoded, rows), training=True))
                # Penalties, such as a kernel_regularizer, are minimized too, but are no part of the reported loss.
                total = tf.add_n([value, *model.losses]) if model.losses else value
            optimizer.apply_gradients(zip(tape.gradient(total, weights), weights, strict=True))
            # The share of the first updates is smaller, so that the initial weights do not count.
            done = tf.cast(optimizer.iterations, tf.float32)
            kept = tf.minimum(average, done / (done + 9.0)) if average else 0.0
            for mean, weight in zip(averages, weights, strict=True):
                mean.assign(kept * mean + (1.0 - kept) * weight)
            for copy, source in states:
                copy.assign(source)
            return value * tf.cast(tf.size(rows), tf.float32)

        def train(encoded: tf.Tensor, truth: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            total = tf.constant(0.0)
            for first in tf.range(0, tf.size(rows), batch):
                total += update(encoded, truth, rows[first : first + batch])
            return total / tf.cast(tf.size(rows), tf.float32)

        def held_out(encoded: tf.Tensor, truth: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            return loss(tf.gather(truth, rows)[:, None], self.averaged(tf.gather(encoded, rows), training=False))

        def state() -> list[tf.Tensor]:
            return [tf.identity(variable) for variable in variables]

        def load(values: Sequence[tf.Tensor]) -> None:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

        block = [tf.TensorSpec([None, width], data.dtype), tf.TensorSpec([None]), tf.TensorSpec([None], tf.int64)]
        self._data, self._batch = data, batch
        self._train = tf.function(train, input_signature=block)
        self._held_out = tf.function(held_out, input_signature=block)
        self.state, self.load = tf.function(state), tf.function(load)

    def epoch(self, subset: Any, chance: np.random.Generator) -> float:
        """Train on a subset of the rows once, in random order, and return the mean loss."""
        return _mean(self._train, self._data.blocks(subset, self._batch, chance))

    def held_out_loss(self, subset: Any) -> float:
        """Return the loss of the averaged weights on a subset of the rows."""
        return _mean(self._held_out, self._data.blocks(subset, self._batch))


def _mean(loss: Callable[..., tf.Tensor], blocks: Iterable[Block]) -> float:
    """Return the mean of a loss over the rows of all blocks."""
    mean, rows = 0.0, 0
    for block in blocks:
        size = len(block[2])
        rows += size
        mean += (float(loss(*block)) - mean) * (size / rows)
    return mean


def _train(
    loop: _Loop, data: InMemory | OnDisk, settings: Settings, advice: str, log: bool = False
) -> tuple[float, ...]:
    """Train on all rows and return the mean loss of each epoch."""
    chance = np.random.default_rng(settings.seed)
    losses: list[float] = []
    for number in range(settings.epochs):
        losses.append(check_loss(loop.epoch(data.all, chance), "loss", number + 1, losses, advice))
        if log:
            log_line(f"epoch {number + 1}: loss {losses[-1]:.4f}")
    return tuple(losses)


def check_loss(loss: float, name: str, epoch: int, before: Sequence[float], advice: str) -> float:
    """Return a loss if it is finite.

    Args:
        loss: The loss.
        name: Its name in the log.
        epoch: Number of the epoch, from 1; 0 before the first.
        before: Losses of earlier epochs.
        advice: What to do, a sentence.

    Raises:
        InputError: The loss is not finite.
    """
    if np.isfinite(loss):
        return loss
    when = f"in epoch {epoch}" if epoch else "before the first epoch"
    after = f", after {before[-1]:.4g} in epoch {len(before)}" if before else ""
    raise InputError(f"The training diverged: the {name} should be finite. Received: {loss} {when}{after}. {advice}")


def check_weights(model: keras.Model, advice: str) -> None:
    """Raise an InputError unless all weights of a model are finite."""
    for weight in model.weights:
        values = weight.numpy()
        if np.issubdtype(values.dtype, np.inexact) and not np.isfinite(values).all():
            raise InputError(
                f"The training diverged: weights should be finite. Received: '{weight.path}' with "
                f"{np.count_nonzero(~np.isfinite(values))} of {values.size} values that are not. {advice}"
            )


@dataclass(frozen=True)
class _Found:
    """The number of epochs with the lowest held-out loss, its updates, losses and weights, why it stopped, and its curve."""

    epochs: int
    updates: int
    losses: tuple[float, ...]
    weights: list[np.ndarray]
    reason: str
    curve: list[EpochLoss]


def _search(loop: _Loop, data: InMemory | OnDisk, settings: Settings, advice: str) -> _Found:
    folds = data.folds(settings.seed)
    chances = [np.random.default_rng([settings.seed, number]) for number in range(len(folds))]
    states = [loop.state()] * len(folds)
    per_epoch = -(-data.size(folds[0][0]) // settings.batch_size)
    between = -(-_CHECK_UPDATES // per_epoch)
    last = max(_MAX_UPDATES // per_epoch, _MAX_EPOCHS)
    first = best = float(np.mean([loop.held_out_loss(held) for _, held in folds]))
    check_loss(first, "held-out loss", 0, [], advice)
    epoch, best_epoch, weights, shown = 0, 0, loop.averaged.get_weights(), 0.0
    losses: list[float] = []
    curve: list[EpochLoss] = []
    while epoch < last:
        values, passes = [], []
        for number, (rows, held) in enumerate(folds):
            if len(folds) > 1:
                loop.load(states[number])
            means = []
            for passed in range(between):
                loss = loop.epoch(rows, chances[number])
                means.append(check_loss(loss, "loss", epoch + passed + 1, losses, advice))
            loss = loop.held_out_loss(held)
            passes.append(means[-1])
            values.append(check_loss(loss, "held-out loss", epoch + between, losses, advice))
            if len(folds) > 1:
                states[number] = loop.state()
        losses += means
        epoch += between
        value = float(np.mean(values))
        curve.append(EpochLoss(epoch, float(np.mean(passes)), value))
        if value < best:
            best, best_epoch, weights = value, epoch, loop.averaged.get_weights()
        if epoch >= shown:
            log_line(f"epoch {epoch}: loss {curve[-1].loss:.4f}, held-out loss {value:.4f}")
            shown = epoch * 1.25
        since = (epoch - best_epoch) * per_epoch
        if since >= max(_PATIENCE_UPDATES, _PATIENCE_SHARE * best_epoch * per_epoch):
            reason = f"the held-out loss fell from {first:.4g} to {best:.4g} and no further"
            if not best_epoch:
                reason = "no epoch lowered the held-out loss, so the model predicts the same for every row"
            break
    else:
        reason = "the limit of updates"
    return _Found(best_epoch, best_epoch * per_epoch, tuple(losses[:best_epoch]), weights, reason, curve)


def log_line(line: str) -> None:
    """Write a line to the step's log."""
    print(printable(line), flush=True)  # noqa: T201 - the step's log
