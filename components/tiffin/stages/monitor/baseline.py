"""What the prediction log of a version is compared with: its inputs and outputs at training, and the weight of each input."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from tiffin.artifacts.examples import read_manifest
from tiffin.artifacts.measures import Distribution
from tiffin.artifacts.model import OUTPUTS, Task, Training, read_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import Reference, read_reference
from tiffin.artifacts.schema import read_schema
from tiffin.artifacts.statistics import find_split, read_statistics
from tiffin.artifacts.verdict import Evaluation, read_evaluation
from tiffin.drift.profiles import Numbers, Profile
from tiffin.drift.statistics import read_profiles

_TRAIN = "train"


@dataclass(frozen=True)
class Baseline:
    """The reference of a version, as the log is compared with it.

    Attributes:
        reference: The reference.
        columns: Input to its profile in the training data; empty without statistics.
        outputs: `probability`, `prediction` or `probabilities[<class>]` to its profile in the evaluation; empty without one.
        importance: Input to its share in the attributions; None without them.
        schema: Schema of the training data; None without one.
        evaluation: The evaluation; None without one.
        training: Record of the training; None without one.
        names: Input to its name in the data, of those that ingest renamed.
        notes: What the reference lacks.
    """

    reference: Reference
    columns: Mapping[str, Profile] = field(default_factory=dict)
    outputs: Mapping[str, Profile] = field(default_factory=dict)
    importance: Mapping[str, float] | None = None
    schema: schema_pb2.Schema | None = None
    evaluation: Evaluation | None = None
    training: Training | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def task(self) -> Task:
        """Task of the model."""
        return self.reference.task

    @property
    def output(self) -> str:
        """Output of the model with the predictions."""
        return OUTPUTS[self.task]

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes of the model; empty for regression."""
        return self.reference.classes


def read_baseline(artifact: str | Path) -> Baseline:
    """Read the reference artifact of a version.

    Raises:
        InputError: The artifact is no reference, or one of its files is damaged.
    """
    reference = read_reference(artifact)
    training = read_training(artifact) if reference.has_training else None
    evaluation = read_evaluation(artifact) if reference.has_evaluation else None
    profiles: dict[str, Profile] = {}
    if reference.has_statistics:
        profiles = read_profiles(find_split(read_statistics(artifact), _TRAIN))
    used = training.columns if training else tuple(name for name in profiles if name != reference.label)
    return Baseline(
        reference,
        columns={name: profiles[name] for name in used if name in profiles},
        outputs={one.name: _profile(one) for one in (evaluation.predictions if evaluation else None) or ()},
        importance=evaluation.attributions.shares if evaluation and evaluation.attributions else None,
        schema=read_schema(artifact) if reference.has_schema else None,
        evaluation=evaluation,
        training=training,
        names={new: old for old, new in read_manifest(artifact).renamed.items()} if reference.has_examples else {},
        notes=reference.notes,
    )


def _profile(one: Distribution) -> Numbers:
    low = one.edges[0] if one.edges else float("nan")
    high = one.edges[-1] if one.edges else float("nan")
    return Numbers(one.rows, one.not_finite, one.edges, one.counts, low, high)
