"""The model server of an evaluation: its command, its failures, and its end."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from support.waiting import is_alive, until
from support.written import table, write_examples
from tiffin.artifacts.verdict import digest, read_evaluation
from tiffin.errors import InputError
from tiffin.stages.evaluate import sandbox
from tiffin.stages.evaluate.evaluation import evaluate
from tiffin.stages.evaluate.sandbox import server_command, starting
from tiffin.stages.evaluate.trial import describe

GOOD = table(x=[0.001, 0.999] * 50, y=["no", "yes"] * 50)
ENDS = (sys.executable, "-c", "import sys; print('no model today'); sys.exit(3)")
SLEEPS = ("sleep", "600")


@pytest.fixture(scope="module")
def binary(echo):
    return echo("binary", classes=("no", "yes"), columns=("x",))


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """The folder for temporary files."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


class TestCommand:
    def test_is_that_of_tiffin_by_default(self):
        assert server_command() == (sys.executable, "-m", "tiffin.model_server", "--allow_reload_config")

    def test_may_have_arguments(self, monkeypatch):
        monkeypatch.setenv("TIFFIN_MODEL_SERVER", "env 'a b' --flag=1")

        assert server_command() == ("env", "a b", "--flag=1")

    @pytest.mark.parametrize("text", [" ", "no-such-server --flag", "'"])
    def test_that_is_not_found(self, monkeypatch, text):
        monkeypatch.setenv("TIFFIN_MODEL_SERVER", text)
        with pytest.raises(InputError, match=r"TIFFIN_MODEL_SERVER.*tensorflow_model_server"):
            server_command()


class TestFailure:
    def test_to_start_is_a_check(self, binary, tmp_path, scratch):
        examples = write_examples(tmp_path / "e", {"eval": GOOD})
        found = evaluate(binary, examples, tmp_path / "out", server=ENDS)

        assert found == read_evaluation(tmp_path / "out")
        assert [(check.code, check.value, check.passed) for check in found.checks[-1:]] == [("SERVING", None, False)]
        assert "exit status 3: no model today" in found.reason
        assert "no model today" in describe(found.serving)
        assert (found.passed, found.serving.rows, found.serving.requests) == (False, 100, 0)
        assert list(scratch.glob("tiffin-*")) == []

    def test_to_open_the_socket_is_told_after_the_deadline(self, binary, scratch):
        with starting(("sh", "-c", "echo license-pending; sleep 600"), 0.3) as server:
            with pytest.raises(sandbox.ServingError) as error:
                server.load(binary / "saved_model", [{"x": 0.5}])

            assert error.value.code == "DEADLINE_EXCEEDED"
            assert "license-pending" in server.problem(error.value)

    def test_by_a_signal_names_it(self, binary, scratch):
        with starting(("sh", "-c", "kill -9 $$")) as server:
            with pytest.raises(sandbox.ServingError) as error:
                server.load(binary / "saved_model", [{"x": 0.5}])

            assert "SIGKILL" in server.problem(error.value)

    def test_of_a_program_that_cannot_be_executed(self, binary, scratch):
        with starting((str(scratch),)) as server:
            with pytest.raises(sandbox.ServingError) as error:
                server.load(binary / "saved_model", [{"x": 0.5}])

            assert "127" in server.problem(error.value)

    def test_of_the_evaluation_ends_the_server(self, binary, tmp_path, scratch):
        examples = write_examples(tmp_path / "e", {"eval": table(z=[0.5], y=["yes"])})
        with pytest.raises(InputError):
            evaluate(binary, examples, tmp_path / "out", server=SLEEPS)

        assert list(scratch.glob("tiffin-*")) == []


def test_off_starts_none(binary, tmp_path):
    examples = write_examples(tmp_path / "e", {"eval": GOOD})
    found = evaluate(binary, examples, tmp_path / "out", server=ENDS, gate={"serving": {"mode": "off"}})

    assert (found.passed, found.serving) == (True, None)
    assert [note.code for note in found.notes][-1] == "SERVING_NOT_TRIED"


def test_ends_with_all_its_processes_when_the_evaluation_is_killed(scratch):
    script = (
        "import sys, time; from tiffin.stages.evaluate.sandbox import starting\n"
        "with starting(('sh', '-c', 'sleep 600 & echo $! $$; wait')) as server:\n"
        "    while len((server.folder / 'server.log').read_text().split()) < 2: time.sleep(0.01)\n"
        "    print((server.folder / 'server.log').read_text(), flush=True); time.sleep(600)\n"
    )
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        pids = [int(word) for word in process.stdout.readline().split()]
        assert [is_alive(pid) for pid in pids] == [True, True]
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert until(lambda: not any(is_alive(pid) for pid in pids) and not any(scratch.glob("tiffin-*")))


def test_loads_a_model_and_answers_its_rows(models, tmp_path, scratch):
    bounds = {"max_size_mb": 100, "max_load_seconds": 1e6, "max_p99_ms": 1e6}
    found = evaluate(
        models.binary.model, models.binary.examples, tmp_path / "out", server=server_command(), gate={"serving": bounds}
    )
    served = found.serving

    assert (served.problem, served.rows, served.trainer_rows, served.differing_rows) == ("", 90, 20, 0)
    assert (served.server, served.requests) == ("tiffin.model_server", 200)
    assert [(check.code, check.passed) for check in found.checks[-4:]] == [
        ("SERVING", True), ("SIZE", True), ("LOAD_TIME", True), ("LATENCY", True),
    ]  # fmt: skip
    assert found.verdict_digest == digest(found.verdict)
    assert list(scratch.glob("tiffin-*")) == []
