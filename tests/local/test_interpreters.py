import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import until
from tiffin.local import interpreters
from tiffin.local.environments import find_python
from tiffin.local.guarding import guarded_folder
from tiffin.local.interpreters import Interpreter, fork, fork_detached, warm_interpreters

# The component's source. --component_module_path makes kfp's executor run it.
SOURCE = """
import atexit, json, os, random, signal, sys, threading, time
def step(what: str):
    if what == "describe":
        import numpy
        print(json.dumps({
            "argv": sys.argv, "cwd": os.getcwd(), "path": sys.path[1], "email": "email" in sys.modules,
            "numpy": float(numpy.random.rand()), "random": random.random(), "session": os.getsid(0) == os.getpid(),
            "umask": os.umask(0), "secret": os.environ.get("SECRET"), "files": sorted(map(int, os.listdir("/proc/self/fd"))),
            "stdin": sys.stdin.read(), "main": sys.modules["__main__"].__spec__.name, "executable": sys.executable,
            "path_variable": os.environ["PATH"],
        }))
    if what == "fail": raise ValueError("a bug")
    if what == "exit": sys.exit(7)
    if what == "words": sys.exit("some words")
    if what == "kill": os.kill(os.getpid(), signal.SIGKILL)
    if what == "abort": os.abort()
    if what == "late":
        atexit.register(lambda: print("at exit"))
        threading.Thread(target=lambda: (threading.main_thread().join(), print("thread"))).start()
        sys.stdout.write("no newline ")
    if what == "wait":
        try:
            print("waiting", os.getpid(), flush=True)
            time.sleep(60)
        finally:
            print("cleaned up", flush=True)
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with guarded_folder() as guard:
        (guard.folder / "step.py").write_text(SOURCE)
        yield guard.folder


@pytest.fixture(scope="module")
def interpreter(folder: Path) -> Iterator[Interpreter]:
    # These modules import quickly.
    before = interpreters.MODULES
    interpreters.MODULES = {"model": (("email", "numpy", "kfp.dsl.executor", "no_such_module"), ("wsgiref",))}
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(warm_interpreters(["model"], folder, folder, {"TIFFIN_TEST": "1"}))
        finally:
            interpreters.MODULES = before
        yield started["model"]


def start(bin_folder: Path | None, folder: Path, what: str, **options: object) -> subprocess.Popen[str]:
    """Start a step as kfp does: `python3 -m kfp.dsl.executor_main`, with python3 found on the PATH."""
    executor_input = {
        "inputs": {"parameterValues": {"what": what}},
        "outputs": {"outputFile": str(folder / "output.json")},
    }
    virtualenv = str(Path(find_python("model")).parent)
    path = os.pathsep.join([*([str(bin_folder)] if bin_folder else []), virtualenv, os.environ["PATH"]])
    arguments = ["--component_module_path", str(folder / "step.py"), "--function_to_execute", "step"]
    return subprocess.Popen(
        ["sh", "-c", 'python3 -m kfp.dsl.executor_main "$@"', "sh", *arguments]
        + ["--executor_input", json.dumps(executor_input)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PATH": path, "_KFP_RUNTIME": "true", "SECRET": "\udce9 é"},
        **options,  # type: ignore[call-overload]
    )


def finish(step: subprocess.Popen[str], text: str = "") -> tuple[int, list[str], str]:
    """Return the exit status, the step's own output lines, and its standard error."""
    with step:
        out, err = step.communicate(text, timeout=60)
    own = "\n".join(line for line in out.splitlines() if "[KFP Executor" not in line)
    return step.returncode, own.rpartition("}\n")[2].splitlines() if "Traceback" in err else own.splitlines(), err


def describe(bin_folder: Path | None, folder: Path, cwd: Path) -> dict[str, object]:
    status, lines, err = finish(start(bin_folder, folder, "describe", cwd=cwd, umask=0o027), "some input")
    assert status == 0, err
    return dict(json.loads(next(line for line in lines if line.startswith('{"argv"'))))


def test_a_fork_ends_before_the_call_does(
    interpreter: Interpreter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaves_a_file.py").write_text("import sys, wsgiref, pathlib; pathlib.Path(sys.argv[1]).touch()")
    monkeypatch.chdir(tmp_path)

    assert until(lambda: interpreter.is_idle)
    assert fork(interpreter, ["leaves_a_file", "here"]) == 0
    assert (tmp_path / "here").exists()
    assert os.waitstatus_to_exitcode(fork(interpreter, ["leaves_a_file"]) or 0) == 1
    assert "IndexError" in interpreter.log.read_text()


def test_no_fork_of_an_interpreter_that_has_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": ((), ())})
    (private := folder / "ended").mkdir()
    with warm_interpreters(["model"], private, private, {}) as started:
        started["model"].stop()

        assert fork(started["model"], ["this"]) is None


def test_a_warm_step_has_the_environment_of_a_new_process(
    interpreter: Interpreter, folder: Path, tmp_path: Path
) -> None:
    warm = describe(interpreter.bin, folder, tmp_path)
    cold = describe(None, folder, tmp_path)

    assert warm.pop("email") is True
    assert cold.pop("email") is False
    # A session of its own, so that its child processes can be ended with it.
    assert (warm.pop("session"), cold.pop("session")) == (True, False)
    assert str(warm.pop("path_variable")).endswith(str(cold.pop("path_variable")))
    for drawn in ("numpy", "random"):
        assert warm.pop(drawn) != cold.pop(drawn)
    assert warm == cold


def test_two_steps_draw_different_random_numbers(interpreter: Interpreter, folder: Path, tmp_path: Path) -> None:
    first, second = (describe(interpreter.bin, folder, tmp_path) for _ in range(2))

    assert first["numpy"] != second["numpy"]
    assert first["random"] != second["random"]


@pytest.mark.parametrize(
    ("what", "status"), [("nothing", 0), ("fail", 1), ("exit", 7), ("words", 1), ("kill", 137), ("abort", 134)]
)
def test_a_warm_step_ends_like_a_new_process(interpreter: Interpreter, folder: Path, what: str, status: int) -> None:
    warm = finish(start(interpreter.bin, folder, what))
    cold = finish(start(None, folder, what))

    assert warm[0] == cold[0] == status
    # The frames of runpy differ, those of the step do not.
    assert warm[2].splitlines()[-1:] == cold[2].splitlines()[-1:]
    assert "zygote.py" not in warm[2]
    assert "forks.py" not in warm[2]


def test_threads_and_exit_functions_are_completed(interpreter: Interpreter, folder: Path) -> None:
    warm = finish(start(interpreter.bin, folder, "late"))
    cold = finish(start(None, folder, "late"))

    assert warm[0] == cold[0] == 0
    assert warm[1] == cold[1]
    assert warm[1][-1].endswith("at exit")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_reach_the_step(interpreter: Interpreter, folder: Path, number: signal.Signals) -> None:
    step = start(interpreter.bin, folder, "wait", start_new_session=True)
    lines = iter(step.stdout or [])
    waiting = next(line for line in lines if line.startswith("waiting"))
    os.killpg(step.pid, number)
    rest = "".join(lines)
    step.communicate(timeout=60)

    assert step.returncode == -number
    # Python raises an exception for SIGINT and ends at once for SIGTERM, in a new process too.
    assert ("cleaned up" in rest) == (number == signal.SIGINT)
    assert until(lambda: not Path(f"/proc/{waiting.split()[1]}").exists())


def test_a_step_ends_with_its_python3(interpreter: Interpreter, folder: Path) -> None:
    step = start(interpreter.bin, folder, "wait", start_new_session=True)
    waiting = next(line for line in step.stdout or [] if line.startswith("waiting"))
    os.killpg(step.pid, signal.SIGKILL)
    step.communicate(timeout=60)

    assert until(lambda: not Path(f"/proc/{waiting.split()[1]}").exists())


def test_other_commands_run_in_the_real_interpreter(interpreter: Interpreter) -> None:
    out = subprocess.run(
        [
            interpreter.bin / "python3",
            "-c",
            "import sys; print(sys.executable, 'email' in sys.modules, sys.argv[1:])",
            "a b",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert out == f"{find_python('model')} False ['a b']\n"


def test_the_model_server_of_a_step_is_a_fork(interpreter: Interpreter, tmp_path: Path) -> None:
    # A new process would import this package.
    (tmp_path / "tiffin").mkdir()
    (tmp_path / "tiffin" / "__init__.py").write_text("raise SystemExit(9)")
    command = [interpreter.bin / "python3", "-m", "tiffin.model_server", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    assert (done.returncode, done.stdout.startswith("usage: ")) == (255, True)


@pytest.mark.parametrize("environment", ["data", "model"])
def test_the_modules_that_steps_wait_for_can_be_imported(environment: str, tmp_path: Path) -> None:
    with guarded_folder() as guard, warm_interpreters([environment], guard.folder, tmp_path, {}) as started:
        interpreter, deadline = started[environment], time.monotonic() + 120
        while not interpreter.is_ready and time.monotonic() < deadline:
            time.sleep(0.1)
        log = interpreter.log.read_text()

    for module in interpreters.MODULES[environment][0]:
        assert f"imported {module} in " in log, log


def test_a_module_that_cannot_be_imported_is_logged(interpreter: Interpreter) -> None:
    deadline = time.monotonic() + 60
    # Modules that no step waits for are imported last.
    while "imported wsgiref in 0." not in (log := interpreter.log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)

    assert "no_such_module: ModuleNotFoundError" in log
    assert "imported email in 0." in log
    assert "imported wsgiref in 0." in log


def test_signals_reach_the_step_during_an_import(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": (("kfp.dsl.executor", "gate_of_tests"), ("slow_of_tests",))})
    # The first import ends when the step connects, so that the second one runs at the same time as the step.
    listener = "int(next(word for word in sys.argv if word.startswith('--socket')).partition('=')[2])"
    (tmp_path / "gate_of_tests.py").write_text(f"import select, sys\nselect.select([{listener}], [], [])\n")
    importing = tmp_path / "importing"
    (tmp_path / "slow_of_tests.py").write_text(f"import time\nopen({str(importing)!r}, 'w')\ntime.sleep(120)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        step = start(started["model"].bin, folder, "wait", start_new_session=True)
        lines = iter(step.stdout or [])
        assert any(line.startswith("waiting") for line in lines)
        assert until(importing.exists)
        os.killpg(step.pid, signal.SIGINT)

        assert any(line.startswith("cleaned up") for line in lines)
        os.killpg(step.pid, signal.SIGKILL)
        step.communicate(timeout=60)


def test_a_detached_process_outlives_the_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": ((), ())})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sleeper.py").write_text("import time\nprint('asleep', flush=True)\ntime.sleep(60)\n")
    with guarded_folder() as guard, (tmp_path / "out").open("wb") as out, open(os.devnull, "rb") as nothing:
        with warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
            pid = fork_detached(started["model"], ["sleeper"], (nothing.fileno(), out.fileno(), out.fileno()))
            assert until(lambda: (tmp_path / "out").read_text() == "asleep\n")
        try:
            time.sleep(0.2)
            os.kill(pid, 0)

            assert os.getsid(pid) != os.getsid(0)
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_step_starts_cold_if_the_interpreter_does_not_start(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": (("antigravity_of_tests",), ())})
    (tmp_path / "antigravity_of_tests.py").write_text("import os\nos._exit(1)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        status, _, err = finish(start(started["model"].bin, folder, "exit"))

    assert status == 7
    assert err.splitlines()[0].startswith("tiffin: ")


def test_killing_the_interpreter_ends_the_step_with_a_hint(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": ((), ())})
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, guard.folder, {}) as started:
        step = start(started["model"].bin, folder, "wait")
        waiting = next(line for line in step.stdout or [] if line.startswith("waiting"))
        started["model"].process.kill()
        _, err = step.communicate(timeout=60)

        assert step.returncode == 137
        assert re.search("^tiffin: .*--cold", err, re.MULTILINE)
        assert until(lambda: not Path(f"/proc/{waiting.split()[1]}").exists())


def test_the_interpreter_ends_when_the_run_is_killed(tmp_path: Path) -> None:
    code = f"""
        import time
        from pathlib import Path
        from tiffin.local import interpreters
        interpreters.MODULES = {{"model": ((), ())}}
        folder = Path({str(tmp_path)!r})
        with interpreters.warm_interpreters(["model"], folder, folder, {{}}) as started:
            print(started["model"].process.pid, flush=True)
            time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        pid = int(run.stdout.readline())
        assert until((tmp_path / "model.ready").exists)
        run.kill()

    assert until(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text().split()[2])
