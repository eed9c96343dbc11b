"""Which tasks a retry keeps."""

import json
from pathlib import Path
from typing import Any

import pytest

from tiffin.local.task_records import TaskRecords


def command(task: Path, *inputs: Path, **parameters: Any) -> list[str]:
    """Return the command of a task with one output, as kfp.local makes it."""
    artifacts = {str(number): {"artifacts": [{"uri": str(uri)}]} for number, uri in enumerate(inputs)}
    executor_input = {
        "inputs": {"parameterValues": parameters, "artifacts": artifacts},
        "outputs": {
            "artifacts": {"written": {"artifacts": [{"uri": f"{task}/written"}]}},
            "outputFile": f"{task}/executor_output.json",
        },
    }
    return ["sh", "--executor_input", json.dumps(executor_input), "--function_to_execute", "f"]


def succeed(run: Path, task: Path, *inputs: Path, **parameters: Any) -> None:
    """Run a task in an attempt of its own."""
    records = TaskRecords(run)
    records.take(task)
    records.begin(task)
    task.mkdir(parents=True, exist_ok=True)
    (task / "written").touch()
    records.succeed(task, command(task, *inputs, **parameters))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    """Folder of a task that has not started."""
    return tmp_path / "artifacts" / "run-1" / "write"


def test_nothing_is_kept_of_a_first_attempt(tmp_path: Path, task: Path) -> None:
    records = TaskRecords(tmp_path)
    records.clear()

    assert not records.is_kept(task, command(task))
    assert (records.take(task), list(tmp_path.iterdir())) == ("write", [])


def test_a_task_with_the_same_input_is_kept(tmp_path: Path, task: Path) -> None:
    succeed(tmp_path, task, a=1, b={"c": 2, "d": 3})
    records = TaskRecords(tmp_path)

    # The order of mappings is not part of the input.
    assert records.is_kept(task, command(task, b={"d": 3, "c": 2}, a=1))
    assert not records.is_kept(task, command(task, a=2, b={"c": 2, "d": 3}))
    assert not TaskRecords(tmp_path, {"write"}).is_kept(task, command(task, a=1, b={"c": 2, "d": 3}))
    (task / "written").unlink()
    assert not records.is_kept(task, command(task, a=1, b={"c": 2, "d": 3}))


def test_a_task_that_began_again_is_not_kept(tmp_path: Path, task: Path) -> None:
    succeed(tmp_path, task)
    TaskRecords(tmp_path).begin(task)

    assert not TaskRecords(tmp_path).is_kept(task, command(task))


def test_a_task_whose_input_is_made_anew_is_not_kept(tmp_path: Path, task: Path) -> None:
    reader = task.with_name("read")
    succeed(tmp_path, task)
    succeed(tmp_path, reader, task / "written")
    records = TaskRecords(tmp_path)

    assert records.is_kept(reader, command(reader, task / "written"))
    records.begin(task)
    assert not records.is_kept(reader, command(reader, task / "written"))


def test_only_tasks_that_run_again_are_cleared(tmp_path: Path, task: Path) -> None:
    failed, end = task.with_name("fail"), task.with_name("end")
    for one in (task, failed, end):
        succeed(tmp_path, one)
    TaskRecords(tmp_path).begin(failed)
    TaskRecords(tmp_path, {"end"}).clear()

    assert [one.exists() for one in (task, failed, end)] == [True, False, False]


def test_iterations_keep_their_names(tmp_path: Path, task: Path) -> None:
    iterations = [task.parent / f"loop-iteration-{number}" / "write" for number in range(3)]
    records = TaskRecords(tmp_path)
    for one in (iterations[1], iterations[0]):
        records.take(one)
        records.begin(one)
    again = TaskRecords(tmp_path)

    assert [again.take(one) for one in iterations] == ["write.2", "write", "write.3"]


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"artifacts/run-1/write": 1}', '{"../x": {"step": "x", "command": null}}']
)
def test_a_damaged_file_keeps_nothing(tmp_path: Path, content: str) -> None:
    run = tmp_path / "run"
    (tmp_path / "x").mkdir()
    run.mkdir()
    (run / "tasks.json").write_text(content)
    records = TaskRecords(run)
    records.clear()
    task = run / "artifacts" / "run-1" / "write"

    assert not records.is_kept(task, command(task))
    assert records.take(task) == "write"
    assert (tmp_path / "x").exists()
