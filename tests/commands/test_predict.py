import gzip
import json
import os
import pty
import re
import subprocess
import sys

import duckdb
import grpc
import numpy as np
import pytest
from click.testing import CliRunner

from support import model_servers, recipes, rest_server
from tiffin.commands.main import main
from tiffin.serving import tensors, wire

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
    assert re.match(r"0 rows in [\d.]+ s", done.stderr)  # contract: the summary of predict


def test_invalid_rows_are_reported_and_skipped(run, rows):
    done = run(rows)

    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"row": 1, "outputs": {"company": "Blue", "scores": 5.0}},
        {"row": 4, "outputs": {"company": "Blue", "scores": None}},
    ]
    reports = done.stderr.splitlines()
    assert re.match(r"row 2 \(line 2\): .*nonsense", reports[0])
    assert re.match(r"row 3 \(line 3\): .*'taxi'.*company", reports[1])
    assert re.match(r"row 5 \(line 5\): .*'passengers'.*int64", reports[2])
    assert reports[3].startswith("5 rows, 3 failed in ")


def test_invalid_rows_are_written_to_a_file(run, rows, tmp_path):
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


def test_csv_parquet_and_json_lines_give_the_same_answers(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"miles": null, "passengers": 2, "company": "a"}\n' * 300)
    (tmp_path / "a.csv").write_text("tip,company,passengers,miles\n" + "1,a,2,\n" * 300)
    duckdb.execute(f"COPY (SELECT * FROM read_json('{tmp_path}/a.jsonl')) TO '{tmp_path}/a.parquet'")
    answers = [run(tmp_path / f"a.{suffix}", "--batch-size", 7) for suffix in ("jsonl", "csv", "parquet")]

    assert [done.exit_code for done in answers] == [0, 0, 0]
    assert answers[0].stdout.count("\n") == 300
    assert answers[0].stdout == answers[1].stdout == answers[2].stdout


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.json", "a.csv", "a.tsv"])
def test_compressed_files_give_the_same_answers(run, tmp_path, name):
    separator = {"a.csv": ",", "a.tsv": "\t"}.get(name)
    row = separator and f"company{separator}passengers{separator}miles\na{separator}2{separator}1.5\n"
    content = (row or '{"company": "a", "passengers": 2, "miles": 1.5}\n').encode()
    (tmp_path / name).write_bytes(content)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    plain, packed = run(tmp_path / name), run(tmp_path / f"{name}.gz")

    assert (plain.exit_code, packed.exit_code) == (0, 0)
    assert plain.stdout == packed.stdout == '{"row": 1, "outputs": {"company": "a", "scores": 5.0}}\n'


def test_an_incomplete_compressed_file(run, tmp_path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"company,passengers,miles\n" + b"a,2,1.5\n" * 1000)[:-20])
    done = run(tmp_path / "a.csv.gz", "--batch-size", 1)

    assert done.exit_code == 2
    assert re.search(r"^error: 'a\.csv\.gz'.* gzip", done.stderr, re.MULTILINE)


def test_a_request_in_the_format_of_rest(run, tmp_path):
    (tmp_path / "a.json").write_text(
        '{"inputs": {"miles": [1, 2], "passengers": 1, "company": ["a", {"b64": "/w=="}]}}'
    )
    done = run(tmp_path / "a.json")

    assert [json.loads(line)["outputs"] for line in done.stdout.splitlines()] == [
        {"company": "a", "scores": 3.0},
        {"company": {"b64": "/w=="}, "scores": 5.0},
    ]


def test_failed_rows_can_be_read_again(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"miles": NaN, "passengers": 1.5, "company": {"b64": "/w=="}}\n')
    done = run(tmp_path / "a.jsonl", "--errors", tmp_path / "errors.jsonl")

    assert done.exit_code == 1
    [error] = [json.loads(line) for line in (tmp_path / "errors.jsonl").read_text().splitlines()]
    values = error["values"]
    assert (str(values.pop("miles")), values) == ("nan", {"passengers": 1.5, "company": {"b64": "/w=="}})


def test_missing_values_of_other_models_are_refused(run, server):
    server.by_tiffin = False
    rows = ['{"miles": 1, "passengers": 1, "company": ""}', '{"passengers": 1, "company": "a"}']
    done = run("-", stdin="\n".join([*rows, '{"miles": 1, "passengers": 1, "company": null}']))

    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"row": 1, "outputs": {"company": "", "scores": 3.0}}
    ]
    reports = done.stderr.splitlines()
    assert re.match(r"row 2 \(line 2\): .*'miles'.*Tiffin.*NaN", reports[0])
    assert re.match(r"row 3 \(line 3\): .*'company'.*Tiffin.*''", reports[1])


def test_missing_values_of_other_models_in_csv(run, server, tmp_path):
    server.by_tiffin = False
    (tmp_path / "a.csv").write_text("miles,passengers,company\n1,1,\n,1,a\nnan,1,a\n")
    done = run(tmp_path / "a.csv")

    assert done.exit_code == 1
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"row": 1, "outputs": {"company": "", "scores": 3.0}},
        {"row": 3, "outputs": {"company": "a", "scores": None}},
    ]
    assert re.match(r"row 2 \(line 3\): .*'miles'", done.stderr)


def test_a_server_that_stops_in_the_middle(run, server, tmp_path):
    (tmp_path / "a.jsonl").write_text(ROWS.splitlines()[0] + "\n")
    (tmp_path / "a.jsonl").write_text((tmp_path / "a.jsonl").read_text() * 10)

    def stop(request, context):
        if server.calls("Predict") > 3:
            context.abort(grpc.StatusCode.UNAVAILABLE, "shutting down")
        return server.Predict(request, context)

    server.answers["Predict"] = stop
    done = run(tmp_path / "a.jsonl", "--batch-size", 2, "--window", 1)

    assert done.exit_code == 1
    assert [json.loads(line)["row"] for line in done.stdout.splitlines()] == [1, 2, 3, 4, 5, 6]
    assert re.match(r".*\b6 rows\nerror: .*UNAVAILABLE", done.stderr)


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


def test_a_column_without_values_is_a_warning(run):
    done = run("-", stdin='{"passengers": 1}\n')

    assert done.exit_code == 0
    assert re.search(r"^warning: .*\bcompany, miles\b", done.stderr, re.MULTILINE)


class TestRecipe:
    """Rows of the source for a model with a recipe."""

    CSV = "km €;passengers;Company name;other\r\n1.000,5;2;a;x\r\n4;1;;y\r\nz;1;b;\r\n;0;c;\r\n"
    ANSWERS = ((1, 1002.5), (2, 5.0), (4, None))

    @pytest.fixture(autouse=True)
    def _recipe(self, server):
        server.recipe = recipes.taxi()

    @staticmethod
    def answers(done):
        rows = [json.loads(line) for line in done.stdout.splitlines()]
        return tuple((row["row"], row["outputs"]["scores"]) for row in rows)

    def test_no_rows(self, run, tmp_path):
        (tmp_path / "a.csv").write_text("km €,passengers,Company name\n")
        assert run(tmp_path / "a.csv").exit_code == 0

    @pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
    def test_csv(self, run, tmp_path, encoding):
        (tmp_path / "a.csv").write_bytes(self.CSV.encode(encoding))
        done = run(tmp_path / "a.csv", "--batch-size", 2)
        assert (done.exit_code, self.answers(done)) == (1, self.ANSWERS)
        assert re.search(r"^row 3 \(line 4\): .*'km €'.*'z'", done.stderr, re.MULTILINE)

    def test_json_lines(self, run):
        done = run(
            "-", stdin='{"km €": "1.000,5", "passengers": 2, "Company name": "a"}\n{"km €": 4, "passengers": 1}\n'
        )
        assert (done.exit_code, self.answers(done)) == (1, self.ANSWERS[:1])
        assert re.search(r"^row 2 \(line 2\): .*Company name", done.stderr, re.MULTILINE)

    def test_absent_columns(self, run, tmp_path):
        (tmp_path / "a.csv").write_text("km €,company nam\n1,a\n")
        done = run(tmp_path / "a.csv")
        assert (done.exit_code, done.stdout) == (2, "")
        assert re.search("^error: .*passengers, Company name.*--allow-missing", done.stderr)
        (tmp_path / "a.csv").write_text("km €,passengers\n1,2\n")
        done = run(tmp_path / "a.csv", "--allow-missing")
        assert (done.exit_code, self.answers(done)) == (0, ((1, 3.0),))
        assert re.search(r"^warning: .*\bCompany name\b", done.stderr, re.MULTILINE)

    def test_unreadable_dates_are_told(self, run, server):
        def answer(request, context):
            response = server.Predict(request, context)
            if request.model_spec.signature_name != "recipe":
                tensors.to_proto(np.array([0, 2, 1]), response.outputs["unreadable_dates"])
            return response

        server.answers["Predict"] = answer
        done = run("-", stdin='{"km €": 1, "passengers": 2, "Company name": "a"}\n' * 3)
        assert done.exit_code == 0
        assert re.search(r"^warning: 2 .*unreadable_dates", done.stderr, re.MULTILINE)

    def test_examples(self, run, server):
        def answer(request, context):
            if request.model_spec.signature_name == "recipe":
                return server.Predict(request, context)
            [text] = tensors.from_proto(request.inputs["inputs"])
            features = wire.Example.FromString(text).features.feature
            response = wire.PredictResponse()
            tensors.to_proto(np.array([features["miles"].float_list.value[0]]), response.outputs["scores"])
            return response

        server.answers["Predict"] = answer
        done = run("-", "--signature", "examples", stdin='{"km €": "3,0", "passengers": 2, "Company name": "a"}\n')
        assert self.answers(done) == ((1, 1.5),)

    def test_rest(self, run, tmp_path):
        (tmp_path / "a.csv").write_text(self.CSV)
        with rest_server.serve() as rest:
            rest.recipe = recipes.taxi()
            done = run(tmp_path / "a.csv", "--rest", address=rest.address)
        assert (done.exit_code, self.answers(done)) == (1, self.ANSWERS)


class TestModelName:
    """The option --model may be absent if one model is served."""

    @pytest.mark.parametrize(("names", "named"), [([], "tiffin run"), (["a", "b"], "a, b")])
    def test_not_one_model(self, tmp_path, names, named):
        for name in names:
            (tmp_path / "serving" / name).mkdir(parents=True)
            (tmp_path / "serving" / name / "stable.config").touch()
        done = CliRunner().invoke(main, ["predict", "--state", str(tmp_path), "-"], input="")
        assert done.exit_code == 2
        assert re.search(f"--model .*{named}", done.stderr)

    def test_an_address(self):
        done = CliRunner().invoke(main, ["predict", "--address", "127.0.0.1:1", "-"], input="")
        assert done.exit_code == 2
        assert re.search("--model .*--address", done.stderr)


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
        (["none.jsonl"], 2, r"none\.jsonl'"),
        (["-", "--signature", "serving_defalt"], 2, r"--signature.*'serving_defalt'.*'serving_default'\?"),
        (["-", "--version", "1", "--label", "x"], 2, r"version.*label"),
        (["-", "--version", "7"], 1, r"NOT_FOUND: .*taxi, 7"),
        (["-", "--label", "x"], 1, "label: x"),
        (["-", "--errors", "no/such/folder"], 2, r"--errors.*'no/such/folder' \(No such"),
        (["-", "--address", "http://x"], 2, "'http://x'"),
        (["-", "--batch-size", "0"], 2, "--batch-size"),
        (["-", "--as-examples"], 2, r"--as-examples.*company \(string\), miles \(float32\)"),
        (["-", "--rest", "--tls", "--address", "http://x"], 2, "https://.*'http://x'"),
    ],
)
def test_invalid_arguments_are_one_line(run, arguments, status, reason):
    done = run(*arguments, stdin="")

    assert done.exit_code == status
    assert re.search(reason, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_errors_do_not_overwrite_the_input(run, rows):
    done = run(rows, "--errors", rows)

    assert done.exit_code == 2
    assert rows.read_text() == ROWS


@pytest.mark.parametrize("option", [["--rest"], ["--tls"], ["--ca-file", "ca.pem"]])
def test_options_that_need_an_address(rows, option):
    done = CliRunner().invoke(main, ["predict", "--model", "taxi", *option, str(rows)])

    assert done.exit_code == 2
    assert re.search(f"{option[0]} .*--address", done.stderr)


def test_a_server_that_stops_answering_ends_the_command(run, server, tmp_path):
    (tmp_path / "a.jsonl").write_text(ROWS.splitlines()[0] + "\n")
    server.answers["Predict"] = model_servers.slow(1.0, server.Predict)
    done = run(tmp_path / "a.jsonl", "--timeout", "0.1")

    assert done.exit_code == 1
    assert re.match("error: .*'taxi'.*DEADLINE_EXCEEDED", done.stderr)


def test_memory_stays_constant(server, tmp_path):
    line = '{"miles": 1.5, "passengers": 2, "company": "%s"}\n' % ("x" * 12_000)

    def peak_kib(times):
        path = tmp_path / f"{times}.jsonl"
        path.write_text(line * times)
        arguments = ["predict", "--model", "taxi", "--address", server.address, "--batch-size", "64", path]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # else each thread may keep freed memory of its own
        done = subprocess.run(
            [sys.executable, "-c", _RUN, *arguments], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.count("\n") == times
        return int(done.stderr.split()[-2])

    server.requests = _Nothing()
    few, many = peak_kib(750), peak_kib(7500)

    # The larger file has 90 MB; the margin is for requests under way.
    assert many - few < 40 * 1024


class _Nothing(list):
    """A list that stays empty, because the test sends too many requests to keep."""

    def append(self, _item):
        pass


def test_a_terminal_shows_a_progress_bar(server, tmp_path):
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
        except OSError:  # end of file of a terminal on Linux
            break
    os.close(ours)

    assert process.wait() == 1
    assert b"\xe2\x94\x81" in seen
    assert b"20,001 rows, 1 failed in " in seen
    assert b"row 20001 (line 20001): " in seen
    assert [json.loads(line)["row"] for line in answers.read_text().splitlines()] == list(range(1, 20_001))
