"""The clients and `tiffin predict` against `tiffin-model-server`, with models that Tiffin trained."""

import asyncio
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from support.waiting import free_port
from tiffin.artifacts.examples import read_sample_rows
from tiffin.commands.main import main
from tiffin.errors import ServingError
from tiffin.serving import AsyncClient, Client, model_config, warmup

RUNS_IN = ("model",)

TASKS = {"late": "binary", "speed": "multiclass", "minutes": "regression"}
SIGNATURES = ("", "explain", "examples")


@pytest.fixture(scope="module")
def rows(models):
    """Sample rows, some with missing values."""
    columns = models.binary.record.columns
    found = [{name: row[name] for name in columns} for row in read_sample_rows(models.binary.examples)]
    assert any(None in row.values() for row in found)
    return found


@pytest.fixture(scope="module")
def config(models, rows, tmp_path_factory):
    """A function that returns a model config: one model per task; `late` has two versions and a version label."""
    root = tmp_path_factory.mktemp("served")
    for name, task in TASKS.items():
        folder = root / name / "1"
        shutil.copytree(getattr(models, task).saved_model, folder)
        warmup.write_warmup(folder, name, rows, signature_names=SIGNATURES)
    shutil.copytree(root / "late" / "1", root / "late" / "2")

    def entries(late=(1,), label=1):
        late = model_config.make_model("late", str(root / "late"), late, {"stable": label})
        others = [model_config.make_model(name, str(root / name), [1]) for name in ("speed", "minutes")]
        return model_config.make_config([late, *others])

    return entries


@pytest.fixture(scope="module")
def server(config, tmp_path_factory):
    """The ports of gRPC and REST."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "config").write_text(model_config.format_config(config()))
    ports = [free_port(), free_port()]
    flags = [
        f"--port={ports[0]}",
        f"--rest_api_port={ports[1]}",
        f"--model_config_file={folder / 'config'}",
        "--allow_version_labels_for_unavailable_models",
        "--max_num_load_retries=0",
        "--allow_reload_config",
    ]
    with (folder / "log").open("w") as log:
        program = Path(sys.executable).with_name("tiffin-model-server")
        process = subprocess.Popen([program, *flags], stdout=log, stderr=log)
    try:
        with Client(f"127.0.0.1:{ports[0]}") as client:
            end = time.monotonic() + 120
            for name in TASKS:
                client.wait_until_available(name, 1, timeout_seconds=max(1.0, end - time.monotonic()))
        yield ports
    except ServingError:
        pytest.fail(f"The server did not start:\n{(folder / 'log').read_text()[-3000:]}")
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def client(server):
    with Client(f"127.0.0.1:{server[0]}") as connected:
        yield connected


@pytest.fixture(scope="module")
def truth(models, rows):
    """A function that returns TensorFlow's outputs for the rows, by name."""

    def answer(task, signature="serving_default"):
        function = tf.saved_model.load(getattr(models, task).saved_model).signatures[signature]
        types = {name: spec.dtype for name, spec in function.structured_input_signature[1].items()}
        missing = {tf.string: "", tf.float32: np.nan, tf.float64: np.nan}
        columns = {
            name: [missing[kind] if row[name] is None else row[name] for row in rows] for name, kind in types.items()
        }
        found = function(**{name: tf.constant(values, types[name]) for name, values in columns.items()})
        return {name: value.numpy() for name, value in found.items()}

    return answer


class TestClient:
    def test_no_rows(self, client):
        empty = {"km": np.zeros(0), "items": np.zeros(0), "kitchen": np.array([], object)}
        assert client.predict("late", empty)["probability"].shape == (0,)

    @pytest.mark.parametrize("name", TASKS)
    def test_predict(self, client, truth, rows, name):
        answer, expected = client.predict(name, rows), truth(TASKS[name])
        assert sorted(answer) == sorted(expected)
        for key, value in expected.items():
            if value.dtype == object:
                assert answer[key].tolist() == value.tolist()
            else:
                np.testing.assert_allclose(answer[key], value, rtol=1e-5)

    def test_arrays_of_other_types_are_cast(self, client, truth):
        kitchen = np.array([b"thai"], object)
        narrow = {"km": np.ones(1, "f4"), "items": np.ones(1, "i8"), "kitchen": kitchen}
        wide = {"km": np.ones(1), "items": np.ones(1), "kitchen": kitchen}

        assert client.predict("late", narrow)["probability"] == client.predict("late", wide)["probability"]

    def test_explain(self, client, truth, rows):
        answer, expected = client.explain("minutes", rows), truth("regression", "explain")
        for key, value in expected.items():
            np.testing.assert_allclose(answer[key], value, rtol=1e-3, atol=1e-3)

    def test_classify(self, client, truth, rows):
        probability = truth("binary")["probability"]
        found = client.classify("late", rows, "examples")
        assert [[one.label for one in row] for row in found] == [["0", "1"]] * len(rows)
        np.testing.assert_allclose([row[1].score for row in found], probability, rtol=1e-5)
        found = client.classify("speed", rows, "examples")
        assert {one.label for row in found for one in row} == {"fast", "slow", "fair"}

    def test_regress(self, client, truth, rows):
        found = client.regress("minutes", rows, "examples")
        np.testing.assert_allclose(found, truth("regression")["prediction"], rtol=1e-5)

    def test_some_outputs_of_a_version_or_a_label(self, client, rows):
        assert list(client.predict("late", rows, label="stable")) == ["classes", "probability"]
        assert list(client.predict("speed", rows, version=1)) == ["classes", "prediction", "probabilities"]
        assert list(client.predict("speed", rows, outputs=["prediction"])) == ["prediction"]

    def test_metadata_and_status(self, client):
        known = client.metadata("late")
        assert sorted(known) == ["examples", "explain", "recipe", "serving_default"]
        assert known["serving_default"].inputs["km"].dtype == "float64"
        assert [(one.version, one.state, one.error) for one in client.status("minutes")] == [(1, "AVAILABLE", "")]

    def test_a_request_of_many_megabytes(self, client):
        count = 400_000
        inputs = {
            "km": np.ones(count),
            "items": np.ones(count),
            "kitchen": np.full(count, b"thai", object),
        }
        with pytest.raises(ServingError, match="DEADLINE_EXCEEDED") as caught:
            client.predict("late", inputs, timeout_seconds=0.001)
        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert client.predict("late", inputs, timeout_seconds=120)["probability"].shape == (count,)

    @pytest.mark.parametrize(
        ("more", "code", "text"),
        [
            ({"model": "m"}, "NOT_FOUND", r" Latest\(m\)\. "),
            ({"version": 7}, "NOT_FOUND", r" Specific\(late, 7\)"),
            ({"label": "X"}, "INVALID_ARGUMENT", " label: X"),
            ({"signature": "s"}, "FAILED_PRECONDITION", r' "s" '),
            ({"outputs": ["z"]}, "INVALID_ARGUMENT", " signature: z"),
            ({"inputs": {"km": np.ones(1)}}, "INVALID_ARGUMENT", " signature: 1!=3"),
        ],
    )
    def test_errors(self, client, more, code, text):
        typed = {"km": np.ones(1), "items": np.ones(1), "kitchen": np.array([b"thai"], object)}
        with pytest.raises(ServingError, match=text) as caught:
            client.predict(**{"model": "late", "inputs": typed, **more})
        assert caught.value.code == code


def test_the_asyncio_client(server, truth, rows):
    async def ask():
        async with AsyncClient(f"127.0.0.1:{server[0]}") as client:
            await client.wait_until_available("late", 1)
            answers = asyncio.gather(
                client.predict("late", rows),
                client.explain("late", rows),
                client.classify("late", rows, "examples"),
                client.regress("minutes", rows, "examples"),
                client.metadata("late"),
                client.status("late"),
            )
            with pytest.raises(ServingError, match=r"Specific\(late, 7\)"):
                await client.predict("late", rows, version=7)
            return await answers

    predicted, explained, classified, regressed, known, states = asyncio.run(ask())
    probability = truth("binary")["probability"]
    np.testing.assert_allclose(predicted["probability"], probability, rtol=1e-5)
    assert {"km", "items", "kitchen", "tiffin_score", "tiffin_baseline"} == set(explained)
    np.testing.assert_allclose([row[1].score for row in classified], probability, rtol=1e-5)
    np.testing.assert_allclose(regressed, truth("regression")["prediction"], rtol=1e-5)
    assert (sorted(known), states[-1].version) == (["examples", "explain", "recipe", "serving_default"], 1)


class TestCommand:
    @pytest.fixture
    def run(self, server, rows, tmp_path):
        """A function that runs `tiffin predict` on the rows, one that is not JSON and one with wrong values."""
        path = tmp_path / "rows.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) + 'nonsense\n{"km": "x", "items": 1}\n')

        def run(model, *more, rest=False):
            address = f"127.0.0.1:{server[rest]}"
            arguments = ["predict", "--model", model, "--address", address, *(["--rest"] if rest else []), *more]
            done = CliRunner().invoke(main, [*arguments, "--batch-size", "7", str(path)])
            assert done.exit_code == 1, done.output
            failed = [line.split(":")[0] for line in done.stderr.splitlines()[:2]]
            assert failed == [f"row {len(rows) + n} (line {len(rows) + n})" for n in (1, 2)]
            answers = [json.loads(line) for line in done.stdout.splitlines()]
            assert [answer["row"] for answer in answers] == list(range(1, len(rows) + 1))
            return [answer["outputs"] for answer in answers]

        return run

    @pytest.mark.parametrize("rest", [False, True])
    @pytest.mark.parametrize("name", TASKS)
    def test_predictions(self, run, truth, name, rest):
        expected = truth(TASKS[name])
        for number, outputs in enumerate(run(name, rest=rest)):
            assert sorted(outputs) == sorted(expected)
            for key, value in expected.items():
                if value.dtype == object:
                    assert outputs[key] == np.char.decode(np.array(value[number], "S")).tolist()
                else:
                    assert outputs[key] == pytest.approx(value[number].tolist(), rel=1e-5)

    @pytest.mark.parametrize("name", TASKS)
    def test_rest_prints_the_same_as_grpc(self, run, name):
        for more in ((), ("--signature", "explain")):
            assert run(name, *more) == run(name, *more, rest=True)

    @pytest.mark.parametrize("rest", [False, True])
    def test_explanations_are_sorted_and_add_up(self, run, rest):
        for outputs in run("minutes", "--signature", "explain", rest=rest):
            *shares, score, baseline = outputs.values()
            assert sorted(list(outputs)[-2:]) == ["tiffin_baseline", "tiffin_score"]
            assert [abs(share) for share in shares] == sorted((abs(share) for share in shares), reverse=True)
            assert abs(sum(shares)) == pytest.approx(abs(score - baseline), abs=0.5)

    @pytest.mark.parametrize("rest", [False, True])
    @pytest.mark.parametrize(
        ("more", "text"),
        [
            (["--version", "7"], "Specific(late, 7)"),
            (["--label", "X"], "label: X"),
            (["--signature", "s"], "examples, explain, recipe, serving_default"),
        ],
    )
    def test_wrong_options(self, server, tmp_path, rest, more, text):
        (tmp_path / "none.jsonl").write_text("")
        arguments = ["predict", "--model", "late", "--address", f"127.0.0.1:{server[rest]}", *more]
        done = CliRunner().invoke(main, [*arguments, *(["--rest"] if rest else []), str(tmp_path / "none.jsonl")])
        assert done.exit_code
        assert text in done.stderr


def test_reloading_moves_the_label(client, config, rows):
    """Must be the last test, because it changes the served versions. Both are loaded before the label moves."""
    client.reload_config(config(late=(1, 2)), timeout_seconds=120)
    client.wait_until_available("late", 2, timeout_seconds=120)
    client.reload_config(model_config.format_config(config(late=(1, 2), label=2)), timeout_seconds=120)
    client.reload_config(config(late=(2,), label=2), timeout_seconds=120)
    assert client.predict("late", rows, label="stable")["probability"].shape == (len(rows),)
    text = model_config.format_config(config(late=(2,), label=2))
    with pytest.raises(ServingError, match=r"FAILED_PRECONDITION: .* 9 .* late"):
        client.reload_config(text.replace("value: 2", "value: 9"))
    with pytest.raises(ServingError, match=r"Illegal .* late ") as caught:
        client.reload_config(text.replace('"speed"', '"late"'))
    assert caught.value.code == "INVALID_ARGUMENT"
    assert client.status("late")[0].state == "AVAILABLE"
