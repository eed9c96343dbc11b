"""Which columns divide the rows: those of the parameters and of the gate's rules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Manifest
from tiffin.artifacts.measures import Fairness, Slice
from tiffin.artifacts.notes import Note
from tiffin.quality import slices
from tiffin.quality.cuts import Cut
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate import fairness
from tiffin.stages.evaluate.columns import find_column
from tiffin.stages.evaluate.document import Gate


@dataclass(frozen=True)
class Plan:
    """The columns that divide the rows, by their names in the examples.

    Attributes:
        slices: Columns, or pairs of columns, to the fewest rows of a slice.
        sensitive: Sensitive columns.
        columns: All of these columns.
        min_rows: Fewest rows of a group of a sensitive column.
        rules: For each rule of slices, its columns; for each rule of fairness, its column.
    """

    slices: dict[tuple[str, ...], int]
    sensitive: tuple[str, ...]
    columns: tuple[Column, ...]
    min_rows: int
    rules: tuple[tuple[tuple[str, ...], ...], tuple[str, ...]]


def make_plan(
    manifest: Manifest, label: str, gate: Gate, by: Sequence[Any], sensitive: Sequence[str], min_rows: int
) -> Plan:
    """Return the plan of an evaluation.

    Raises:
        InputError: A name is not that of a column of the examples, or is the label's.
    """
    found: dict[str, Column] = {}

    def resolve(name: str, parameter: str) -> str:
        column = find_column(manifest, name, label, parameter)
        found[column.name] = column
        return column.name

    wanted: dict[tuple[str, ...], int] = {}
    for number, entry in enumerate(by):
        names = [entry] if isinstance(entry, str) else entry
        wanted[tuple(resolve(name, f"slices[{number}]") for name in names)] = min_rows
    of_slices = []
    for number, rule in enumerate(gate.slices):
        names = tuple(resolve(name, f"gate.slices[{number}].columns") for name in rule.columns)
        of_slices.append(names)
        wanted[names] = min(wanted.get(names, rule.min_rows), rule.min_rows)
    columns = [resolve(name, f"sensitive[{number}]") for number, name in enumerate(sensitive)]
    of_fairness = [resolve(rule.column, f"gate.fairness[{n}].column") for n, rule in enumerate(gate.fairness)]
    return Plan(
        wanted,
        tuple(dict.fromkeys([*columns, *of_fairness])),
        tuple(found.values()),
        min_rows,
        (tuple(of_slices), tuple(of_fairness)),
    )


def measure_slices(
    plan: Plan, gate: Gate, outcomes: Outcomes, cuts: Mapping[str, Cut], codes: Mapping[str, np.ndarray], seed: str
) -> tuple[tuple[Slice, ...], dict[int, list[Slice]], list[Note]]:
    """Return the metrics of all slices, those that each rule of the gate applies to, and notes."""
    found: dict[tuple[str, ...], list[Slice]] = {}
    notes = []
    for columns, fewest in plan.slices.items():
        rows, left_out = slices.divide(columns, cuts, codes, fewest)
        found[columns] = list(slices.measure(outcomes, columns, rows, seed))
        notes += left_out
    of_rules = {
        number: [one for one in found[columns] if one.rows >= gate.slices[number].min_rows]
        for number, columns in enumerate(plan.rules[0])
    }
    return tuple(one for each in found.values() for one in each), of_rules, notes


def measure_fairness(
    plan: Plan, outcomes: Outcomes, cuts: Mapping[str, Cut], codes: Mapping[str, np.ndarray], seed: str
) -> tuple[tuple[Fairness, ...], dict[int, Fairness], list[Note]]:
    """Return the differences of all sensitive columns, that of each rule of the gate, and notes."""
    found: dict[str, Fairness] = {}
    notes = []
    for column in plan.sensitive:
        groups, left_out = slices.divide((column,), cuts, codes, plan.min_rows)
        found[column] = fairness.measure(outcomes, column, groups, seed)
        notes += left_out
        if len(groups) < 2:
            text = f"{column}: no differences between groups, since {len(groups) or 'no'} group has enough rows"
            notes.append(Note("SENSITIVE_NOT_COMPARED", text, column))
    return tuple(found.values()), {number: found[column] for number, column in enumerate(plan.rules[1])}, notes
