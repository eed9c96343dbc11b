import json
import os
import pty
import subprocess
import sys

import duckdb
import pytest
from click.testing import CliRunner

from support import model_servers, rest_server
from tiffin.commands.main import main

# Runs the command line, then prints the peak of its memory: "VmHWM: 59752 kB".
_RUN = """
from tiffin.commands.main import main
try: main()
finally:
    import sys
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""
ROWS = (
    '{"miles": 1.5, "passengers": 2, "company": "Blue", "tip": 3}\n'
    "nonsense\n"
    '{"miles": 1, "passengers": 1, "company": "bad"}\n'
    '{"passengers": 3, "company": "Blue"}\n'
    '{"miles": 1.5, "company": "Blue"}\n'
)


@pytest.fixture
def server():
    with model_servers.serve() as served:
        yield served


@pytest.fixture
def run(server):
    """Run `tiffin predict` on the test's server and return its result."""

    def run(*arguments, stdin=None, address=server.address):
        arguments = ["predict", "--model", "taxi", "--address", address, *map(str, arguments)]
        return CliRunner().invoke(main, arguments, input=stdin)

    return run


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text(ROWS)
    return path


def test_an_empty_file(run, tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    done = run(tmp_path / "a.jsonl")

    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("0 rows in ")


def test_bad_rows_are_reported_and_the_rest_goes_on(run, rows):
    done = run(rows)

    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"row": 1, "outputs": {"company": "Blue", "scores": 5.0}},
        {"row": 4, "outputs": {"company": "Blue", "scores": None}},
    ]
    reports = done.stderr.splitlines()
    assert reports[0].startswith("row 2 (line 2): The line should be JSON")
    assert reports[1].startswith("row 3 (line 3): Predict on model 'taxi'")
    assert "bad company" in reports[1]
    assert reports[2].startswith("row 5 (line 5): Input 'passengers' ")
    assert reports[3].startswith("5 rows, 3 failed in ")


def test_bad_rows_go_to_a_file(run, rows, tmp_path):
    done = run(rows, "--errors", tmp_path / "errors.jsonl", "--batch-size", 1, "--window", 1)

    assert done.exit_code == 1
    errors = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    assert [error["row"] for error in errors] == [2, 3, 5]
    assert errors[1]["values"] == {"miles": 1, "passengers": 1, "company": "bad"}
    assert len(done.stderr.splitlines()) == 1


def test_standard_input(run):
    done = run("-", stdin=ROWS.splitlines()[0])

    assert done.exit_code == 0
    assert json.loads(done.stdout)["outputs"]["scores"] == 5.0


def test_csv_and_parquet_answer_as_json_lines_do(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"miles": null, "passengers": 2, "company": "a"}\n' * 300)
    (tmp_path / "a.csv").write_text("tip,company,passengers,miles\n" + "1,a,2,\n" * 300)
    duckdb.execute(f"COPY (SELECT * FROM read_json('{tmp_path}/a.jsonl')) TO '{tmp_path}/a.parquet'")
    answers = [run(tmp_path / f"a.{suffix}", "--batch-size", 7) for suffix in ("jsonl", "csv", "parquet")]

    assert [done.exit_code for done in answers] == [0, 0, 0]
    assert answers[0].stdout.count("\n") == 300
    assert answers[0].stdout == answers[1].stdout == answers[2].stdout


def test_explain_prints_the_largest_attributions_first(run, server):
    def explain(request, context):
        response = server.Predict(request, context)
        for name in list(response.outputs):
            del response.outputs[name]
        for name, value in {"tiffin_score": 9.0, "small": 0.5, "large": -3.0, "tiffin_baseline": 1.0}.items():
            response.outputs[name].dtype = 1
            response.outputs[name].float_val.append(value)
            response.outputs[name].tensor_shape.dim.add(size=1)
        return response

    server.answers["Predict"] = explain
    done = run("-", "--signature", "explain", stdin=ROWS.splitlines()[0])

    assert list(json.loads(done.stdout)["outputs"]) == ["large", "small", "tiffin_score", "tiffin_baseline"]


def test_a_column_that_no_row_has_is_mentioned(run):
    done = run("-", stdin='{"passengers": 1}\n')

    assert done.exit_code == 0
    assert "warning: no row has company, miles; taken as missing." in done.stderr


def test_rest(run, rows):
    with rest_server.serve() as rest:
        done = run(rows, "--rest", address=rest.address)

    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"row": 1, "outputs": {"scores": 5.0}},
        {"row": 4, "outputs": {"scores": None}},
    ]


def test_rest_explains(run):
    with rest_server.serve() as rest:
        done = run("-", "--rest", "--signature", "explain", address=rest.address, stdin=ROWS.splitlines()[0])

    assert done.exit_code == 0
    # Lists have no size to sort by and come after numbers.
    assert done.stdout == '{"row": 1, "outputs": {"scores": 5.0, "attributions": [3.0, 2]}}\n'


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["none.jsonl"], 2, "none.jsonl'"),
        (["-", "--signature", "serving_defalt"], 2, "Did you mean 'serving_default'?"),
        (["-", "--version", "1", "--label", "x"], 2, "version=1, label='x'"),
        (["-", "--version", "7"], 1, "NOT_FOUND: Servable not found for request: Specific(taxi, 7)"),
        (["-", "--label", "x"], 1, "Unrecognized servable version label: x"),
        (["-", "--errors", "no/such/folder"], 2, "--errors should be a file to write to"),
        (["-", "--address", "http://x"], 2, "'http://x'"),
        (["-", "--batch-size", "0"], 2, "--batch-size"),
    ],
)
def test_mistakes_are_one_line(run, arguments, status, reason):
    done = run(*arguments, stdin="")

    assert done.exit_code == status
    assert reason in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_input_is_not_overwritten_by_its_errors(run, rows):
    done = run(rows, "--errors", rows)

    assert done.exit_code == 2
    assert rows.read_text() == ROWS


def test_rest_needs_an_address(rows):
    done = CliRunner().invoke(main, ["predict", "--model", "taxi", "--rest", str(rows)])

    assert done.exit_code == 2
    assert "--rest needs --address" in done.stderr


def test_a_server_that_stops_answering_ends_it(run, server, tmp_path):
    (tmp_path / "a.jsonl").write_text(ROWS.splitlines()[0] + "\n")
    server.answers["Predict"] = model_servers.slow(1.0, server.Predict)
    done = run(tmp_path / "a.jsonl", "--timeout", "0.1")

    assert done.exit_code == 1
    assert done.stderr.startswith("error: Predict on model 'taxi'")
    assert "DEADLINE_EXCEEDED" in done.stderr


def test_memory_stays_constant(server, tmp_path):
    line = '{"miles": 1.5, "passengers": 2, "company": "%s"}\n' % ("x" * 3000)

    def peak_kib(times):
        path = tmp_path / f"{times}.jsonl"
        path.write_text(line * times)
        arguments = ["predict", "--model", "taxi", "--address", server.address, "--batch-size", "256", path]
        done = subprocess.run([sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.count("\n") == times
        return int(done.stderr.split()[-2])

    server.requests = _Nothing()
    few, many = peak_kib(3000), peak_kib(30_000)

    # The larger file alone has 90 MB; the rest is what threads leave behind in their allocators.
    assert many - few < 40 * 1024


class _Nothing(list):
    """A list that keeps nothing, for a test with more requests than a test should keep."""

    def append(self, _item):
        pass


def test_a_terminal_sees_a_bar(server, tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(ROWS.splitlines()[0] + "\n")
    path.write_text(path.read_text() * 20_000 + "nonsense")
    ours, theirs = pty.openpty()
    arguments = ["predict", "--model", "taxi", "--address", server.address, "--batch-size", "256", path]
    answers = tmp_path / "answers.jsonl"
    with answers.open("wb") as stdout:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN, *arguments],
            stdout=stdout,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm"},
        )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # what Linux says at the end of a terminal
            break
    os.close(ours)

    assert process.wait() == 1
    assert b"\xe2\x94\x81" in seen
    assert b"20,001 rows, 1 failed in " in seen
    assert b"row 20001 (line 20001): The line should be JSON" in seen
    assert [json.loads(line)["row"] for line in answers.read_text().splitlines()] == list(range(1, 20_001))
