"""Train a model of one's own: `build_model`, trained as Tiffin's network is, or `train`, which trains it itself."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tiffin.artifacts.model import EpochLoss, OwnCode, Settings
from tiffin.artifacts.notes import Note
from tiffin.errors import InputError
from tiffin.stages.train import columns, curve, fitting, own_inputs, preprocessing
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.features import Features
from tiffin.stages.train.label import Label, Values
from tiffin.stages.train.leakage import ROWS, find_leaks
from tiffin.stages.train.own_code import Code, load_function, shown
from tiffin.stages.train.rows import Encoder, InMemory, OnDisk
from tiffin.stages.train.trained import Trained
from tiffin.training import Context, Rows

# Reads the rows for features and an encoder, whose scale it sets, and holds rows out.
Load = Callable[[Features, Encoder], InMemory | OnDisk]


@dataclass(frozen=True)
class Targets:
    """The label of the training rows: their number, that of each class, and the scale of a regression label."""

    rows: int
    counts: tuple[int, ...]
    scale: Scale


def find_targets(parts: Iterable[np.ndarray], label: Label, values: Values) -> Targets:
    """Return what the code of one's own is told of the label.

    Args:
        parts: The encoded label in parts, `[rows]` each.
        label: The label.
        values: Its values.
    """
    if not label.classes:
        return Targets(values.rows, (), columns.find_scale(parts, values.low, values.high))
    counts = np.zeros(len(label.classes), int)
    for part in parts:
        counts += np.bincount(part.astype(int), minlength=len(counts))
    return Targets(values.rows, tuple(int(count) for count in counts), Scale())


def train_own(
    code: Code,
    hyperparameters: Mapping[str, Any],
    features: Features,
    label: Label,
    targets: Targets,
    settings: Settings,
    load: Load,
) -> Trained:
    """Train the model that a file of the user's builds or trains.

    Args:
        code: The model file.
        hyperparameters: What the code receives beside the features.
        features: Columns that can be inputs.
        label: Label to predict.
        targets: The label of the training rows.
        settings: Training settings.
        load: Reads the training rows.

    Raises:
        InputError: The code fails, or its model has other inputs, another output, or does not learn finite numbers.
    """
    tf.config.experimental.enable_op_determinism()
    with ExitStack() as stack:
        name, function = load_function(code)
        task = _Task(code, features, label, targets, settings, load, stack)
        return (_build if name == "build_model" else _train)(task, function, dict(hyperparameters))


class _Task:
    """What a training of own code needs, and the rows in each form, read once."""

    def __init__(
        self,
        code: Code,
        features: Features,
        label: Label,
        targets: Targets,
        settings: Settings,
        load: Load,
        stack: ExitStack,
    ) -> None:
        self.code, self.label, self.settings, self.rows = code, label, settings, targets.rows
        self._features, self._load, self._stack = features, load, stack
        owners = preprocessing.build(features)[3]
        self.described = own_inputs.describe(features, owners, label, targets.counts, targets.scale)
        self._forms: dict[tuple[own_inputs.RawInput, ...], Form] = {}

    def form_of(self, inputs: tuple[own_inputs.RawInput, ...]) -> "Form":
        """Return the rows in the form of a model's inputs."""
        if inputs not in self._forms:
            self._forms[inputs] = Form(self.code, self._features, inputs, self._load, self._stack)
        return self._forms[inputs]


class Form:
    """The training rows as a model's inputs: encoded, or a matrix of raw columns."""

    def __init__(
        self,
        code: Code,
        features: Features,
        inputs: tuple[own_inputs.RawInput, ...],
        load: Load,
        stack: ExitStack,
    ) -> None:
        self.inputs = inputs
        self.features = own_inputs.only(features, inputs, code) if inputs else features
        self.transform, encode, self.layers, self.owners = preprocessing.build(self.features, raw=bool(inputs))
        self.width, self.dtype = len(self.owners), tf.float64 if inputs else tf.float32
        self.encoder = Encoder(encode, columns.record_type(self.features), self.width, self.dtype)
        self._load, self._stack = load, stack
        self._data: InMemory | OnDisk | None = None

    @property
    def data(self) -> InMemory | OnDisk:
        """The rows, read at the first use."""
        if self._data is None:
            self._data = self._stack.enter_context(closing(self._load(self.features, self.encoder)))
        return self._data

    def first_rows(self, count: int) -> tf.Tensor:
        """Return up to `count` rows."""
        data: Any = self.data  # a subset is of another type in memory than on disk
        encoded, _, order = next(data.blocks(data.all, 1))
        return tf.gather(encoded, order[:count])

    def over_rows(self, model: keras.Model) -> keras.Model:
        """Return the model over encoded rows or over the matrix."""
        return own_inputs.from_matrix(model, self.inputs, self.features) if self.inputs else model


def _checked(task: _Task, model: Any, doing: str) -> tuple[Form, keras.Model, bool]:
    """Return the form of a model's inputs, the model over rows of that form, and whether it has gradients for them."""
    if not isinstance(model, keras.Model):
        kind = (
            "None"
            if model is None
            else f"a {type(model).__module__}.{type(model).__qualname__}".replace("builtins.", "")
        )
        raise InputError(
            f"{doing} should return a keras.Model. Received: {kind} from '{task.code.location}'. "
            f"{'Add a return statement.' if model is None else 'Return the model itself.'}"
        )
    inputs = own_inputs.find_inputs(model, task.described, task.code)
    form = task.form_of(inputs)
    over_rows = form.over_rows(model)
    with shown(task.code, f"The model of {doing}"):
        has_slopes = own_inputs.check_output(over_rows, form.first_rows(3), task.described, task.code)
    return form, over_rows, has_slopes


def _build(task: _Task, function: Callable[..., Any], hyperparameters: dict[str, Any]) -> Trained:
    """Build the model and train it as Tiffin's network is trained."""
    code, settings, described = task.code, task.settings, task.described

    def build() -> Any:
        with shown(code, "build_model"):
            return function(described, dict(hyperparameters))

    keras.utils.set_random_seed(settings.seed)
    first = build()
    form, model, has_slopes = _checked(task, first, "build_model")
    weights = f"{model.count_params()} {'weight' if model.count_params() == 1 else 'weights'}"
    if not model.trainable_variables:
        raise InputError(
            f"The model of build_model should have weights to train. Received: a model without any from '{code.location}'. "
            "To train it in another way, write train(context)."
        )
    starts = own_inputs.start_at(model, described.prior)
    second = build()
    copy = _checked(task, second, "build_model")[1]
    shapes = [[tuple(weight.shape) for weight in one.weights] for one in (model, copy)]
    if second is first or shapes[0] != shapes[1]:
        raise InputError(
            f"build_model should return a new model of the same form each time: Tiffin trains one, and keeps the averages of "
            f"its weights in another. Received: {'the same model' if second is first else 'weights of other shapes'} from "
            f"'{code.location}' at the second call."
        )
    notes = [
        Note(
            "OWN_MODEL",
            f"build_model of {code.name} ({code.digest[:12]}): {weights} over {_named(form)}; trained with "
            f"AdamW{'; the bias of the last layer starts at the class shares' if starts and described.classes else ''}",
            example=code.location,
        )
    ]
    if getattr(first, "compiled", False):
        text = "optimizer, loss and metrics of compile() are not used; to train with them, write train(context)"
        notes.append(Note("COMPILE_NOT_USED", f"{code.name}: {text}", example=code.location))
    default = Settings()
    if unused := [name for name in ("hidden_units", "dropout") if getattr(settings, name) != getattr(default, name)]:
        notes.append(_unused(code, unused, "they belong to the default network; pass hyperparameters"))
    with shown(code, "The model of build_model"):
        own = fitting.Own(model, copy, _advice(task, form, f"Lower learning_rate, which is {settings.learning_rate:g}"))
        fitted = fitting.fit(form.data, form.width, task.label, settings, own)
    return _finished(task, form, fitted, has_slopes, "build_model", hyperparameters, notes)


def _train(task: _Task, function: Callable[..., Any], hyperparameters: dict[str, Any]) -> Trained:
    """Let the code train the model."""
    code, losses, reported = task.code, list[float](), list[EpochLoss]()
    settings = replace(task.settings, batch_size=fitting.batch_size_for(task.rows, task.settings))

    def report(loss: float, held_out_loss: float | None = None) -> None:
        advice = f"Check the loss and the learning rate in '{code.location}'."
        number = len(losses) + 1
        value = fitting.check_loss(float(loss), "loss", number, losses, advice)
        line = f"epoch {number}: loss {value:.4f}"
        held = None
        if held_out_loss is not None:
            held = fitting.check_loss(float(held_out_loss), "held-out loss", number, losses, advice)
            line += f", held-out loss {held:.4f}"
        losses.append(value)
        reported.append(EpochLoss(number, value, held))
        fitting.log_line(line)

    def batches(model: Any, rows: Rows, batch_size: int, shuffle: bool) -> Any:
        form, _, _ = _checked(task, model, "train")
        return _dataset(form, rows, batch_size or settings.batch_size, settings.seed, shuffle)

    context = Context(task.described, dict(hyperparameters), settings, task.rows, batches, report)
    keras.utils.set_random_seed(settings.seed)
    with shown(code, "train"):
        model = function(context)
    form, over_rows, has_slopes = _checked(task, model, "train")
    fitting.check_weights(over_rows, f"Check the loss and the learning rate in '{code.location}'.")
    text = f"train of {code.name} ({code.digest[:12]}): {over_rows.count_params()} weights over {_named(form)}"
    notes = [Note("OWN_MODEL", text, example=code.location)]
    reason = f"as train of {code.name} reported" if losses else f"train of {code.name} reported none"
    search = curve.thin(reported or curve.from_history(model))
    fitted = fitting.Fitted(over_rows, tuple(losses), replace(settings, epochs=len(losses)), reason, search)
    return _finished(task, form, fitted, has_slopes, "train", hyperparameters, notes)


def _finished(
    task: _Task,
    form: Form,
    fitted: fitting.Fitted,
    has_slopes: bool,
    name: Any,
    hyperparameters: dict[str, Any],
    notes: list[Note],
) -> Trained:
    """Check the predictions for training rows, and return the trained model."""
    code = task.code
    with shown(code, f"The model of {name}"):
        output = fitted.model(form.first_rows(4096), training=False).numpy()
    if not np.isfinite(output).all():
        wrong = int((~np.isfinite(output)).any(axis=1).sum())
        raise InputError(
            f"The model's output should be finite. Received: {wrong} of {len(output)} training rows with NaN or infinity from "
            f"'{code.location}'. {_advice(task, form, 'Check the operations of the model')}"
        )
    if not has_slopes or form.inputs:
        why = "takes raw columns" if form.inputs else "has no gradient for its input"
        text = (
            f"the signature explain is left out: the model of {code.name} {why}, and explain follows the encoded vector"
        )
        notes.append(Note("SIGNATURE_LEFT_OUT", text, example="explain"))
    inputs: Any = "raw" if form.inputs else "encoded"
    return Trained(
        form.features,
        form.transform,
        form.layers,
        form.owners,
        fitted,
        form.encoder.scale,
        form.data.mean_row if has_slopes and not form.inputs else None,
        task.rows,
        find_leaks(form.data.sample(ROWS, task.settings.seed), form.features, task.label),
        OwnCode(code.location, code.digest, name, inputs, hyperparameters),
        tuple(notes),
    )


def _named(form: Form) -> str:
    if not form.inputs:
        return f"the encoded vector of {form.width}"
    return f"{len(form.inputs)} raw {'column' if len(form.inputs) == 1 else 'columns'}"


def _advice(task: _Task, form: Form, first: str) -> str:
    if any(one.dtype in ("float32", "float64") for one in form.inputs):
        return f"{first}, or replace NaN in '{task.code.location}': it stands for a missing number in raw columns."
    return f"{first}, or change the model in '{task.code.location}'."


def _unused(code: Code, names: list[str], why: str) -> Note:
    return Note("SETTINGS_NOT_USED", f"{', '.join(names)}: not used with model_code {code.name}; {why}", names[0])


def _dataset(form: Form, rows: Rows, batch: int, seed: int, shuffle: bool) -> tf.data.Dataset:
    """Return rows as batches of a model's inputs and the target."""
    data: Any = form.data  # a subset is of another type in memory than on disk
    kept, held = data.folds(seed)[0]
    chosen = {"train": kept, "held_out": held, "all": data.all}
    if rows not in chosen:
        raise InputError(f"rows should be one of: {', '.join(chosen)}. Received: rows={rows!r}.")
    passes = itertools.count()

    def blocks() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
        chance = np.random.default_rng([seed, next(passes)]) if shuffle else None
        for encoded, target, order in data.blocks(chosen[rows], batch, chance):
            yield tf.gather(encoded, order), tf.gather(target, order)[:, None]

    spec = (tf.TensorSpec([None, form.width], form.dtype), tf.TensorSpec([None, 1], tf.float32))
    found = tf.data.Dataset.from_generator(blocks, output_signature=spec)
    found = found.flat_map(lambda *block: tf.data.Dataset.from_tensor_slices(block).batch(batch))
    found = found.apply(tf.data.experimental.assert_cardinality(-(-data.size(chosen[rows]) // batch)))
    if form.inputs:
        unpack = own_inputs.unpacking(form.inputs, form.features)
        found = found.map(lambda matrix, target: (unpack(matrix), target))
    return found.prefetch(1)
