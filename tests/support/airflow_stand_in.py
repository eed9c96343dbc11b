"""A stand-in for the parts of Airflow 3 that the DAG uses; Airflow is too large to install for one test.

Names, arguments and effects are Airflow's. Unknown arguments are errors, as in Airflow.
"""

import datetime
import os
import subprocess
import sys
import types
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch


class AirflowSkipException(Exception):
    """Airflow shows the task as skipped."""


class AirflowException(Exception):
    """Airflow shows the task as failed."""


@dataclass
class DAG:
    """`airflow.sdk.DAG`."""

    current: ClassVar["DAG"]
    entered: ClassVar[dict[str, "DAG"]]

    dag_id: str
    schedule: str
    start_date: datetime.datetime
    catchup: bool = False
    max_active_runs: int = 16
    tasks: list["BashOperator"] = field(default_factory=list, init=False)

    def __enter__(self) -> "DAG":
        DAG.current = self
        DAG.entered[self.dag_id] = self
        return self

    def __exit__(self, *error: Any) -> None:
        pass


@dataclass(kw_only=True)
class BashOperator:
    """`airflow.providers.standard.operators.bash.BashOperator`."""

    task_id: str
    bash_command: str
    env: dict[str, str] | None = None
    append_env: bool = False
    skip_on_exit_code: int | Sequence[int] = 99
    cwd: str | None = None
    execution_timeout: datetime.timedelta | None = None

    def __post_init__(self) -> None:
        # Airflow would treat the first as a file name and the second as a template.
        assert not self.bash_command.endswith((".sh", ".bash"))
        assert "{{" not in self.bash_command
        DAG.current.tasks.append(self)

    def execute(self) -> None:
        """Run the command as Airflow's worker does."""
        environment = {**os.environ, **(self.env or {})} if self.append_env else self.env
        done = subprocess.run(
            ["bash", "-c", self.bash_command],
            env=environment,
            cwd=self.cwd,
            timeout=self.execution_timeout.total_seconds() if self.execution_timeout else None,
        )
        skipped = self.skip_on_exit_code
        if done.returncode in ([skipped] if isinstance(skipped, int) else skipped):
            raise AirflowSkipException
        if done.returncode:
            raise AirflowException(f"Bash command failed. The command returned a non-zero exit code {done.returncode}.")


def _module(name: str, **members: Any) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__dict__.update(members)
    return module


def _installed() -> AbstractContextManager[Any]:
    bash = "airflow.providers.standard.operators.bash"
    parents = ["airflow", *(bash.rsplit(".", cut)[0] for cut in (3, 2, 1))]
    modules = {name: _module(name) for name in parents}
    return patch.dict(
        sys.modules,
        modules | {"airflow.sdk": _module("airflow.sdk", DAG=DAG), bash: _module(bash, BashOperator=BashOperator)},
    )


def load(path: Path) -> dict[str, DAG]:
    """Execute a file of DAGs, as Airflow does, and return them by their IDs."""
    DAG.entered = {}
    with _installed():
        exec(compile(path.read_text(), path, "exec"), {"__file__": str(path), "__name__": "dag"})
    return DAG.entered
