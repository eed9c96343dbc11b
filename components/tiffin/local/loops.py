"""Correct the loops of kfp.local, which takes the outputs of other steps in a loop for the item of the loop.

kfp.local 2.17 finds the items of a `dsl.ParallelFor` only in an output without a name, and gives the item of the loop to each
input of the loop that is an output of a step beside it. During a run, the function that runs a loop is replaced: it passes
these outputs as inputs of the group. `tests/local/test_loops.py` fails if kfp changes it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

from kfp.local.orchestrator import enhanced_dag_orchestrator


@contextlib.contextmanager
def corrected_loops() -> Iterator[None]:
    """Make kfp.local pass outputs of other steps into loops, for the duration of the block."""
    original = enhanced_dag_orchestrator._run_parallel_for_task

    def run(*, task_spec: Any, io_store: Any, **others: Any) -> Any:
        given = type(task_spec)()
        given.CopyFrom(task_spec)
        for name, value in given.inputs.parameters.items():
            if value.HasField("task_output_parameter"):
                source = value.task_output_parameter
                output = io_store.get_task_output(source.producer_task, source.output_parameter_key)
                io_store.put_parent_input(name, output)
                value.component_input_parameter = name
        return original(task_spec=given, io_store=io_store, **others)

    enhanced_dag_orchestrator._run_parallel_for_task = run
    try:
        yield
    finally:
        enhanced_dag_orchestrator._run_parallel_for_task = original
