"""The parts of kfp.local that tasks.py relies on. If one of these tests fails, kfp has changed: update tasks.py."""

import inspect
from pathlib import Path

from kfp import components, local
from kfp.local import status, subprocess_task_handler, task_dispatcher

from support import toy_pipelines as toys
from tiffin.local.tasks import folder_of, task_runner


def test_kfps_handler_has_the_arguments_of_ours() -> None:
    handler = subprocess_task_handler.SubprocessTaskHandler

    assert list(inspect.signature(handler).parameters) == [
        "image",
        "full_command",
        "pipeline_root",
        "runner",
        "env_vars",
    ]
    assert list(inspect.signature(handler.run).parameters) == ["self"]


def test_kfp_has_the_statuses_that_we_return() -> None:
    assert {member.name for member in status.Status} == {"SUCCESS", "FAILURE"}


def test_kfp_looks_up_its_handler_for_every_task() -> None:
    assert "subprocess_task_handler.SubprocessTaskHandler" in inspect.getsource(task_dispatcher)
    assert task_dispatcher.subprocess_task_handler is subprocess_task_handler


def test_tasks_run_with_our_handler_until_the_block_ends(tmp_path: Path) -> None:
    original = subprocess_task_handler.SubprocessTaskHandler
    seen: list[tuple[str, str, str]] = []

    def run_task(folder: Path, image: str, function: str, command: list[str], variables: dict[str, str]) -> int:
        seen.append((folder.name, image, function))
        assert command[:2] == ["sh", "-ec"]
        assert folder_of(command) == folder
        assert variables == {}
        return 0

    local.init(local.SubprocessRunner(use_venv=False), str(tmp_path), workspace_root=str(tmp_path / "workspace"))
    with task_runner(run_task):
        assert subprocess_task_handler.SubprocessTaskHandler is not original
        components.load_component_from_file(str(toys.write_spec(toys.waiting, tmp_path)))(note="x")

    assert subprocess_task_handler.SubprocessTaskHandler is original
    assert seen == [("wait", toys.images.DATA, "wait"), ("say-more", toys.images.MODEL, "say_more")]
