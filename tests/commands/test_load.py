import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from click.testing import CliRunner, Result

from support import model_servers, recipes, rollouts
from support.command_line import TIFFIN, start
from support.waiting import until
from tiffin.commands.main import main
from tiffin.local import serving
from tiffin.serving import tensors

CSV = "trip,miles,passengers,company\nt1,1.5,2,a\nt2,2,x,a\nt3,3.5,1,b\n"


@pytest.fixture
def server() -> Iterator[model_servers.ModelServer]:
    with model_servers.serve() as served:
        yield served


@pytest.fixture
def trips(tmp_path: Path) -> Path:
    path = tmp_path / "trips.csv"
    path.write_text(CSV)
    return path


@pytest.fixture
def run(server: model_servers.ModelServer) -> Callable[..., Result]:
    """Run `tiffin load` on the test's server and return its result."""

    def run(*arguments: Any) -> Result:
        return CliRunner().invoke(
            main, ["load", "--model", "taxi", "--address", server.address, *map(str, arguments)], terminal_width=80
        )

    return run


def miles(server: model_servers.ModelServer) -> list[float]:
    """Return the input of each request for a prediction."""
    sent = [request for method, request in server.requests if method == "Predict"]
    return [
        tensors.from_proto(request.inputs["miles"]).ravel().tolist()[0]
        for request in sent
        if request.model_spec.signature_name != "recipe"
    ]


def labels(output: str) -> list[str]:
    return re.findall(r"^  (\S(?: ?\S)*)  ", output, re.MULTILINE)


def test_an_empty_file(run: Callable[..., Result], trips: Path) -> None:
    trips.write_text(CSV.splitlines()[0] + "\n")
    done = run(trips)

    assert (done.exit_code, done.stdout) == (2, "")
    assert re.search(r"^error: .*trips\.csv'.*\b0\b", done.stderr, re.MULTILINE)


def test_rows_are_sent_over_and_over(
    run: Callable[..., Result], server: model_servers.ModelServer, trips: Path
) -> None:
    done = run(trips, "--concurrency", 1, "--requests", 5)

    assert done.exit_code == 0
    assert miles(server) == [1.5, 3.5, 1.5, 3.5, 1.5]
    assert set(labels(done.stdout)) == {
        *("requests", "per second", "answered", "failed", "latency", "versions", "skipped")
    }
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert re.search(r"^  skipped +1 .*\brow 2: .*'passengers'", done.stdout, re.MULTILINE)
    assert re.search(r"^  versions +2: 5$", done.stdout, re.MULTILINE)


def test_json(run: Callable[..., Result], trips: Path) -> None:
    done = run(trips, "--rate", 500, "--requests", 5, "--json")
    found = json.loads(done.stdout)

    assert done.exit_code == 0
    assert done.stdout.count("\n") == 1
    assert found["wanted"] == {"per_second": 500.0, "requests": 5}
    assert {name: found[name] for name in ("requests", "answered", "failed", "rows", "unsent", "interrupted")} == {
        "requests": 5,
        "answered": 5,
        "failed": 0,
        "rows": 5,
        "unsent": 0,
        "interrupted": False,
    }
    assert (found["codes"], found["messages"], found["versions"]) == ({"OK": 5}, {}, {"2": 5})
    assert (found["skipped_rows"], found["first_skipped"]["row"], found["requests_of_file"]) == (1, 2, 2)
    latency = found["latency_seconds"]
    assert 0 < latency["p50"] <= latency["p90"] <= latency["p99"] <= latency["max"] <= found["seconds"]
    assert [one["requests"] for one in found["by_second"]] == [5]


def test_clients_in_turn(run: Callable[..., Result], server: model_servers.ModelServer, trips: Path) -> None:
    found = json.loads(run(trips, "--concurrency", 3, "--requests", 50, "--json").stdout)

    assert found["wanted"] == {"concurrency": 3, "requests": 50}
    assert (found["answered"], server.calls("Predict")) == (50, 50)


def test_a_duration(run: Callable[..., Result], server: model_servers.ModelServer, trips: Path) -> None:
    found = json.loads(run(trips, "--rate", 100, "--duration", 0.2, "--json").stdout)

    assert found["wanted"] == {"per_second": 100.0, "seconds": 0.2}
    # A busy machine may not send all of them.
    assert found["requests"] + found["unsent"] == 20
    assert server.calls("Predict") == found["answered"] > 0


def test_rows_per_request(run: Callable[..., Result], server: model_servers.ModelServer, trips: Path) -> None:
    trips.write_text(CSV + "t4,5.5,1,c\n")
    found = json.loads(run(trips, "--concurrency", 1, "--requests", 4, "--batch-size", 2, "--json").stdout)

    # Three rows that can be sent are a request of two and one of one.
    assert (found["requests"], found["rows"], found["requests_of_file"]) == (4, 6, 2)
    assert miles(server) == [1.5, 5.5, 1.5, 5.5]


def test_a_signature_and_a_version(run: Callable[..., Result], server: model_servers.ModelServer, trips: Path) -> None:
    done = run(trips, "--rate", 500, "--requests", 1, "--signature", "explain", "--version", 2)

    assert done.exit_code == 0
    spec = server.requests[-1][1].model_spec
    assert (spec.signature_name, spec.version.value) == ("explain", 2)


def test_without_a_version_the_server_chooses(
    run: Callable[..., Result], server: model_servers.ModelServer, trips: Path
) -> None:
    run(trips, "--requests", 1)

    assert not server.requests[-1][1].model_spec.HasField("version")


def test_a_file_of_json_may_name_the_signature(
    run: Callable[..., Result], server: model_servers.ModelServer, tmp_path: Path
) -> None:
    (tmp_path / "a.json").write_text(
        '{"signature_name": "explain", "inputs": {"miles": [1, 2], "passengers": 1, "company": "a"}}'
    )
    done = run(tmp_path / "a.json", "--concurrency", 1, "--requests", 3)

    assert done.exit_code == 0
    assert miles(server) == [1.0, 2.0, 1.0]
    assert server.requests[-1][1].model_spec.signature_name == "explain"


class TestKey:
    """The header x-tiffin-key."""

    @pytest.fixture
    def keys(self, server: model_servers.ModelServer) -> list[str | None]:
        found: list[str | None] = []

        def answer(request: Any, context: Any) -> Any:
            found.append(dict(context.invocation_metadata()).get("x-tiffin-key"))
            return server.Predict(request, context)

        server.answers["Predict"] = answer
        return found

    def test_load(self, run: Callable[..., Result], trips: Path, keys: list[str | None]) -> None:
        done = run(trips, "--concurrency", 1, "--requests", 3, "--key", "trip")

        assert done.exit_code == 0
        assert keys == ["t1", "t3", "t1"]
        assert re.search(r"^  keys .*\b2 rows", done.stdout, re.MULTILINE)

    def test_no_such_column(self, run: Callable[..., Result], trips: Path) -> None:
        done = run(trips, "--key", "tripp")

        assert (done.exit_code, done.stdout) == (2, "")
        assert re.search("^error: .*'tripp'.*'trip'", done.stderr, re.MULTILINE)

    def test_predict(self, server: model_servers.ModelServer, trips: Path, keys: list[str | None]) -> None:
        common = ["predict", str(trips), "--model", "taxi", "--address", server.address, "--key", "trip"]
        done = CliRunner().invoke(main, [*common, "--batch-size", "1", "--window", "1"])

        assert done.exit_code == 1
        assert keys == ["t1", "t3"]
        assert re.search(r"^row 2 .*'passengers'", done.stderr, re.MULTILINE)
        for more in ([], ["--batch-size", "1", "--rest"]):
            done = CliRunner().invoke(main, [*common, *more])
            assert (done.exit_code, done.stdout) == (2, "")
            assert "--key " in done.stderr


class TestRecipe:
    """Rows of the source for a model with a recipe."""

    CSV = "km €;passengers;Company name;other\r\n1.000,5;2;a;x\r\n4;1;;y\r\nz;1;b;\r\n"

    @pytest.fixture(autouse=True)
    def _recipe(self, server: model_servers.ModelServer) -> None:
        server.recipe = recipes.taxi()

    def test_rows_of_the_source(
        self, run: Callable[..., Result], server: model_servers.ModelServer, trips: Path
    ) -> None:
        trips.write_text(self.CSV)
        done = run(trips, "--concurrency", 1, "--requests", 3)

        assert done.exit_code == 0
        assert miles(server) == [500.25, 2.0, 500.25]
        assert re.search("skipped +1 .*row 3: .*'km €'.*'z'", done.stdout, re.DOTALL)

    def test_absent_columns(self, run: Callable[..., Result], trips: Path) -> None:
        trips.write_text("km €,company nam\n1,a\n")
        done = run(trips)
        assert (done.exit_code, done.stdout) == (2, "")
        assert re.search("^error: .*passengers, Company name.*--allow-missing", done.stderr, re.MULTILINE)
        trips.write_text("km €,passengers\n1,2\n")
        assert run(trips, "--rate", 500, "--requests", 2, "--allow-missing").exit_code == 0

    @pytest.mark.parametrize(("km_per_mile", "warns"), [(2.0, False), (1.5, True)])
    def test_another_version_that_answers(
        self,
        run: Callable[..., Result],
        server: model_servers.ModelServer,
        trips: Path,
        km_per_mile: float,
        warns: bool,
    ) -> None:
        server.versions.insert(0, (3, "AVAILABLE", 0, ""))

        def answer(request: Any, context: Any) -> Any:
            response = server.Predict(request, context)
            if request.model_spec.signature_name == "recipe":
                other = request.model_spec.version.value == 2
                response.outputs["recipe"].Clear()
                recipe = recipes.taxi(km_per_mile if other else 2.0)
                tensors.to_proto(np.array([recipe.encode()], object), response.outputs["recipe"])
            else:
                # As a gateway that divides requests.
                response.model_spec.version.value = 2 + len(miles(server)) % 2
            return response

        server.answers["Predict"] = answer
        trips.write_text(self.CSV)
        done = run(trips, "--concurrency", 1, "--requests", 4)

        assert re.search(r"^  versions +2: 2, 3: 2$", done.stdout, re.MULTILINE)
        assert bool(re.search("^warning: version 2 .*version 3", done.stderr, re.MULTILINE)) == warns


def test_failed_requests(run: Callable[..., Result], server: model_servers.ModelServer, trips: Path) -> None:
    server.answers["Predict"] = model_servers.fail_times(2, grpc.StatusCode.RESOURCE_EXHAUSTED, server.Predict)
    done = run(trips, "--rate", 100, "--requests", 5)

    assert done.exit_code == 1
    assert re.search(r"^  answered +3$", done.stdout, re.MULTILINE)
    assert re.search(r"^  failed +2 \(40 %\): 2 RESOURCE_EXHAUSTED$", done.stdout, re.MULTILINE)
    assert "injected failure" in " ".join(done.stdout.split())  # contract: model_servers.fail_times
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_an_unreachable_server(trips: Path) -> None:
    done = CliRunner().invoke(main, ["load", "--model", "taxi", "--address", "127.0.0.1:1", str(trips)])

    assert (done.exit_code, done.stdout) == (1, "")
    assert re.fullmatch(r"error: .*'taxi'.*127\.0\.0\.1:1.*UNAVAILABLE.*\n", done.stderr)


def test_a_server_that_ends_in_the_middle(trips: Path) -> None:
    with model_servers.serve() as server:
        process = start(
            *("load", trips, "--model", "taxi", "--address", server.address, "--json"),
            *("--rate", 50, "--duration", 3, "--timeout", 5),
        )
        assert until(lambda: server.calls("Predict") > 20)
    output, errors = process.communicate(timeout=60)
    found = json.loads(output)

    assert process.returncode == 1
    assert found["requests"] + found["unsent"] == 150
    assert found["answered"] >= 20
    assert found["codes"]["UNAVAILABLE"] > 20
    assert "UNAVAILABLE" in found["messages"]["UNAVAILABLE"]
    assert "Traceback" not in errors


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_load(server: model_servers.ModelServer, trips: Path, number: signal.Signals) -> None:
    process = start("load", trips, "--model", "taxi", "--address", server.address, "--rate", 50, "--duration", 600)
    assert until(lambda: server.calls("Predict") > 5)
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert re.search(r"^  failed +0$", output, re.MULTILINE)
    assert errors.endswith("Interrupted.\n")
    sent = re.search(r"^  requests +(\d+) ", output, re.MULTILINE)
    assert sent
    assert int(sent[1]) == server.calls("Predict")


def test_a_second_interrupt_does_not_wait_for_answers(server: model_servers.ModelServer, trips: Path) -> None:
    server.answers["Predict"] = model_servers.slow(5.0, server.Predict)
    process = start("load", trips, "--model", "taxi", "--address", server.address, "--concurrency", 2, "--json")
    assert until(lambda: server.calls("Predict") == 2)
    process.send_signal(signal.SIGINT)
    assert not until(lambda: process.poll() is not None, 0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert process.returncode == 130
    assert json.loads(output)["codes"] == {"CANCELLED": 2}


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["none.csv"], 2, r"none\.csv'"),
        (["-"], 2, "FILE .*'-'"),
        (["--rate", "5", "--concurrency", "5"], 2, "--rate .*--concurrency"),
        (["--duration", "5", "--requests", "5"], 2, "--duration .*--requests"),
        (["--rate", "0"], 2, "--rate"),
        (["--concurrency", "0"], 2, "--concurrency"),
        (["--duration", "0"], 2, "--duration"),
        (["--requests", "0"], 2, "--requests"),
        (["--batch-size", "2", "--key", "trip"], 2, "--key .*--batch-size"),
        (["--signature", "serving_defalt"], 2, r"--signature.*'serving_default'\?"),
        (["--version", "1", "--label", "x"], 2, "version.*label"),
        (["--version", "7"], 1, "NOT_FOUND"),
        (["--as-examples"], 2, "--as-examples"),
        (["--address", "http://x"], 2, "'http://x'"),
        (["--model", "other"], 1, "'other'.*NOT_FOUND"),
    ],
)
def test_invalid_arguments_are_one_line(
    run: Callable[..., Result], trips: Path, arguments: list[str], status: int, reason: str
) -> None:
    done = run(*([] if arguments[0] in ("none.csv", "-") else [trips]), *arguments)

    assert done.exit_code == status
    assert re.search(reason, done.stderr)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_options_that_need_an_address(trips: Path) -> None:
    for option in (["--tls"], ["--ca-file", "ca.pem"], []):
        done = CliRunner().invoke(
            main, ["load", *option, str(trips), *["--model", "taxi"] * bool(option), "--state", "/x"]
        )
        assert done.exit_code == 2
        assert re.search(f"{option[0]} .*--address" if option else "--model ", done.stderr)


def test_a_terminal_shows_the_figures_so_far(server: model_servers.ModelServer, trips: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [TIFFIN, "load", trips, "--model", "taxi", "--address", server.address, "--rate", "100", "--duration", "1.5"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += os.read(ours, 65536)
        except OSError:  # end of file of a terminal on Linux
            break
    os.close(ours)
    output, _ = process.communicate()

    assert process.returncode == 0
    assert re.search(rb"\d+ \(\d+/s\) 0 failed p50 [\d.]+ ms p99 [\d.]+ ms", seen)
    assert re.search(rb"^  requests +\d+ in ", output)


def test_memory_stays_constant(server: model_servers.ModelServer, tmp_path: Path) -> None:
    """A file that is too large to be kept, and many requests."""
    program = (
        "import sys\nfrom tiffin.commands.main import main\ntry: main()\nfinally:\n"
        " print(next(line for line in open('/proc/self/status') if line.startswith('VmHWM')), file=sys.stderr)"
    )
    line = '{"miles": 1.5, "passengers": 2, "company": "%s"}\n' % ("x" * 36_000)

    def peak_kib(times: int) -> int:
        path = tmp_path / f"{times}.jsonl"
        path.write_text(line * times)
        arguments = ["load", "--model", "taxi", "--address", server.address, "--concurrency", "4", str(path)]
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments, "--requests", str(times)],
            env={**os.environ, "MALLOC_ARENA_MAX": "1"},
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stderr.split()[-2])

    server.requests = _Nothing()
    few, many = peak_kib(2000), peak_kib(6000)

    # The smaller file has 72 MB, more than is kept.
    assert many - few < 40 * 1024


class _Nothing(list[Any]):
    """A list that stays empty, because the test sends too many requests to keep."""

    def append(self, _item: Any) -> None:
        pass


@pytest.mark.runs
def test_the_local_model_server(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text('{"x": [1, 1, 1]}\n{"x": [2, 1, 1]}\n')
    rollouts.publish(tmp_path)
    state = tmp_path / "state"
    process = start("load", tmp_path / "x.jsonl", "--state", state, "--rate", 50, "--requests", 20, "--json")
    output, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    found = json.loads(output)
    assert (found["model"], found["answered"], found["versions"]) == ("taxi", 20, {"1": 20})
    # It was started for the load.
    assert serving.find_server(state) is None
