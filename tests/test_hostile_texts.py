"""Names and values of users in every report, table and error: no element in a browser, no command in a terminal."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

from support import toy_pipelines as toys
from support.documents import make_evaluation
from support.hostile import HOSTILE, controls
from support.terminals import read_terminal
from tiffin import errors
from tiffin.artifacts import markdown
from tiffin.artifacts.notes import Note
from tiffin.artifacts.summary import RegisteredModel
from tiffin.commands.main import main
from tiffin.kubeflow.listing import LastRun, Schedule, show_schedules
from tiffin.kubeflow.publication import Published
from tiffin.kubeflow.schedule import Recurring
from tiffin.kubeflow.submission import Submission, show_end
from tiffin.local.result_text import show_run
from tiffin.local.results import Run
from tiffin.printing import json_line, printable, printable_lines
from tiffin.specs.progress import StepProgress, shown

SOURCE = Path(errors.__file__).parent
# The elements that the reports themselves have.
OWN = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "code", "ul", "li", "text", "softbreak"}
RENDERER = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table")


def elements(text):
    """Return the elements and the kinds of tokens that a browser would show for Markdown, with HTML enabled."""
    found = set()
    for token in RENDERER.parse(text):
        for each in [token, *(token.children or [])]:
            found.add(each.tag or each.type)
            if each.type.startswith("html"):
                found.add("html")
    return found - {"inline"}


def shown_text(text):
    return "".join(
        child.content for token in RENDERER.parse(text) for child in token.children or [] if child.type != "softbreak"
    )


@pytest.mark.parametrize("hostile", HOSTILE)
class TestMarkdown:
    def test_shows_the_text_itself(self, hostile):
        plain = " ".join("".join(letter if letter.isprintable() else " " for letter in hostile).split())

        assert elements(markdown.escape(hostile)) <= {"p", "text", "text_special"}
        assert " ".join(shown_text(markdown.escape(hostile)).split()) == plain

    def test_a_table_keeps_its_cells(self, hostile):
        cells = (markdown.escape(hostile), markdown.example(hostile), markdown.code(hostile))
        tokens = RENDERER.parse("\n".join(markdown.table(("a", "b", "c"), [cells])))

        assert [token.type for token in tokens].count("td_open") == 3
        assert elements("\n".join(markdown.table(("a", "b", "c"), [cells]))) <= OWN | {"text_special"}


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return str(toys.write_spec(toys.toy, tmp_path_factory.mktemp("spec")))


@pytest.mark.parametrize("hostile", HOSTILE)
class TestTerminal:
    def check(self, text, hostile):
        assert controls(re.sub(r"\x1b\[[0-9;]*m", "", text)) == [] or "\x1b" not in hostile
        assert controls(text) == []

    def test_printable(self, hostile):
        assert controls(printable(hostile)) == []
        assert "\n" not in printable(hostile)
        assert controls(printable_lines(hostile)) == []
        assert printable_lines(hostile).count("\n") == hostile.count("\n")
        printable(hostile).encode()

    def test_json(self, hostile):
        line = json_line({hostile: [hostile]})

        assert (controls(line), "\n" in line) == ([], False)
        assert json.loads(line) == {hostile: [hostile]}

    def run(self, hostile, folder):
        log = folder / "a.log"
        log.write_bytes(f"{hostile}\n".encode(errors="replace"))
        step = StepProgress(
            hostile, "failed", log=log, seconds=1, notes=(Note("CODE", hostile, hostile),), title=hostile
        )
        step.report = Path("report\x1b[2J.md")
        return Run(
            hostile, hostile, folder, [step], reason=hostile, data_version=hostile, metrics={hostile: 0.5}, serving=hostile,
            model=RegisteredModel(hostile, 1), verdict=replace(make_evaluation(reason=hostile)).verdict, unread=(hostile + "!",),
            evaluations={hostile: make_evaluation(metrics={hostile: 1.0}), "b": make_evaluation()}, left_server=hostile,
            report=Path("/x", hostile.replace("/", "")), tracking_uri=hostile,
        )  # fmt: skip

    @pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
    def test_a_local_run(self, hostile, tmp_path, state):
        run = self.run(hostile, tmp_path)
        run.state = state
        out = io.StringIO()
        with shown(run.steps, f"{hostile} in {hostile}", out) as changed:
            changed(run.steps[0])
        show_run(run, hostile, out)

        self.check(out.getvalue(), hostile)
        assert printable(hostile).strip().split(" ")[0] in out.getvalue()

    def test_a_local_run_on_a_terminal(self, hostile, tmp_path, monkeypatch):
        """All that rich writes is for colors and for the table."""
        monkeypatch.setenv("TERM", "xterm")
        ours, theirs = pty.openpty()
        run = self.run(hostile, tmp_path)
        with os.fdopen(theirs, "w") as out:
            with shown(run.steps, hostile, out) as changed:
                changed(run.steps[0])
            show_run(run, hostile, out)
        text = re.sub(r"\x1b\[\??[0-9;]*[mKAhlG]|\r", "", read_terminal(ours))

        assert controls(text) == []

    def test_a_submitted_run(self, hostile):
        steps = [StepProgress(hostile, "failed", title=hostile)]
        submission = Submission(Published(hostile, "", hostile, "", True), "", "", hostile, steps, "FAILED", hostile)
        out = io.StringIO()
        show_end(replace(submission, failed_step=hostile, log=[hostile.replace("\n", " ")]), out)
        show_end(replace(submission, failed_step=hostile, log_command=hostile, stopped_by="evaluation", seconds=1), out)

        self.check(out.getvalue(), hostile)

    def test_schedules(self, hostile):
        recurring = Recurring(hostile, "", hostile, None, "", "", True, "", hostile, "", {}, "", hostile, "", "")
        out = io.StringIO()
        one = Schedule(recurring, hostile, hostile, None, LastRun("", hostile, None, hostile))
        show_schedules([one, replace(one, last_run=None)], out)

        self.check(out.getvalue(), hostile)

    def test_errors_of_commands(self, hostile, tmp_path, spec):
        run = ["run", spec, "--cold"]
        commands = [
            [hostile], ["run", hostile], [*run, "--set", hostile], [*run, "--set", f"{hostile}=1"],
            [*run, "--params", f"{tmp_path}/{hostile}"], ["compile", hostile], ["run", f"{tmp_path}/{hostile}.yaml"],
            ["predict", hostile], ["serve", "--state", hostile, "--status"], ["publish", hostile], ["run", f"--{hostile}"],
            ["predict", f"{tmp_path}/{hostile}", "--model", hostile], ["schedule", "delete", hostile, "--host", hostile],
        ]  # fmt: skip
        for command in commands:
            result = CliRunner().invoke(main, command, env={"KUBECONFIG": str(tmp_path / "none")})
            assert result.exit_code in (1, 2), command
            self.check(result.output, hostile)

    def test_errors_of_steps(self, hostile):
        code = (
            "import sys; from tiffin.errors import InputError, reported\n"
            f"with reported(): raise InputError('Received: ' + {hostile!a})"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)

        assert done.returncode == errors.EXPLAINED
        assert controls(done.stderr.decode()) == []
        assert done.stderr.count(b"\n") == 1


def test_every_line_of_the_command_goes_through_one_place():
    """Lines with texts of users are escaped where they are written."""
    for path in sorted((SOURCE / "commands").glob("*.py")):
        if path.name != "output.py":
            assert not re.findall(r"click\.(?:echo|secho)\(|\bprint\(|ensure_ascii=False\)\)", path.read_text()), path


def test_every_line_of_a_step_is_escaped():
    for path in sorted(SOURCE.rglob("*.py")):
        if "model_server" not in path.parts:
            for line in re.findall(r"^ *print\(.*", path.read_text(), re.MULTILINE):
                assert "printable" in line or "end=" in line or line.strip() in OWN_LINES, (path, line)


# Lines of Tiffin's own texts, of lines that are escaped where they are made, and of an example in a docstring.
OWN_LINES = {
    "print(error)",
    'print(*told, sep="\\n")  # noqa: T201 - the step\'s log',
    'print(*log_lines(result), sep="\\n")  # noqa: T201 - the step\'s log',
    "print(",
} | {'print(f"\\nLast log lines of {submission.failed_title}:", file=stream)'}
