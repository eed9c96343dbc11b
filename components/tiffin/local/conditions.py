"""Correct the conditions of kfp.local, which evaluates them with the values of outputs and parameters.

kfp.local 2.17 finds an output with a name only inside another group: a `dsl.If` on one at the top of a pipeline is skipped
without an error. It also puts texts into the expression as they are: one with a quote makes the condition false, and can be
code. During a run, its function that looks values up is replaced; `tests/local/test_conditions.py` fails if kfp changes it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from kfp.local.orchestrator.enhanced_dag_orchestrator import ConditionEvaluator


class _Literal(str):
    """A text that is formatted as the inside of a Python literal in single quotes."""

    def __format__(self, _spec: str) -> str:
        return self.encode("unicode_escape").decode("ascii").replace("'", r"\'")


@contextlib.contextmanager
def corrected_conditions() -> Iterator[None]:
    """Make kfp.local find outputs by their names and quote texts, for the duration of the block."""
    original = ConditionEvaluator._resolve_pipeline_channel

    def resolve(reference: str, store: Any) -> Any:
        value = _find_output(reference.removeprefix("pipelinechannel--"), store)
        if value is None:
            value = original(reference, store)
        return _Literal(value) if isinstance(value, str) else value

    ConditionEvaluator._resolve_pipeline_channel = staticmethod(resolve)
    try:
        yield
    finally:
        ConditionEvaluator._resolve_pipeline_channel = staticmethod(original)


def _find_output(name: str, store: Any) -> Any:
    """Return the output `<task>-<output>` of a task of this group; None if there is none."""
    found = (
        value
        for task, outputs in store._task_output_data.items()
        for key, value in outputs.items()
        if f"{task}-{key}" == name
    )
    return next(found, None)
