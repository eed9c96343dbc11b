"""The clients and `tiffin predict` with models that Tiffin did not train, served by `tiffin-model-server`."""

import asyncio
import base64
import json

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner

from support import tiny_models
from support.server_process import Server
from support.waiting import free_port
from tiffin.commands.main import main
from tiffin.errors import InputError, ServingError
from tiffin.serving import AsyncClient, Client, model_config, outputs

RUNS_IN = ("model",)


def save_shapes(path):
    """Save signatures with inputs and outputs of several shapes and types."""
    module = tf.Module()

    def add(**specs):
        named = {name: tf.TensorSpec(*spec, name=name) for name, spec in specs.items()}
        return lambda body: tf.function(body, input_signature=list(named.values()))

    floats = tf.float32
    signatures = {
        "serving_default": add(x=([None, None], floats))(lambda x: {"total": tf.reduce_sum(x, 1)}),
        "scaled": add(x=([None], floats), by=([], floats))(lambda x, by: {"y": x * by}),
        "scalars": add(x=([], floats))(lambda x: {"y": x + 1.0, "z": -x}),
        "largest": add(x=([None], floats))(lambda x: {"y": tf.reduce_max(x)}),
        "pairs": add(x=([2], floats))(lambda x: {"y": x * 2.0}),
        "text": add(x=([None], tf.string))(lambda x: {"x": x, "x_bytes": x}),
        "brain": add(x=([None, 1], tf.bfloat16))(lambda x: {"y": x * 2.0}),
        "half": add(x=([None], tf.float16))(lambda x: {"y": x}),
        "waves": add(x=([None], tf.complex64))(lambda x: {"y": tf.math.conj(x)}),
        "flags": add(x=([None], tf.bool))(lambda x: {"y": tf.logical_not(x)}),
        "bytes": add(x=([None], tf.uint8))(lambda x: {"y": x}),
    }
    tf.saved_model.save(module, str(path), signatures=signatures)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    tiny_models.save_tools(root / "tools" / "1")
    tiny_models.save_score(root / "score" / "1", 1.0)
    save_shapes(root / "shapes" / "1")
    return root


@pytest.fixture(scope="module")
def entries(folder):
    return [model_config.make_model(name, str(folder / name)) for name in ("tools", "score", "shapes")]


@pytest.fixture(scope="module")
def ports(folder, entries, tmp_path_factory, nursery):
    """The ports of gRPC and REST."""
    here = tmp_path_factory.mktemp("server")
    (here / "config").write_text(model_config.format_config(model_config.make_config(entries)))
    ports = [free_port(), free_port()]
    flags = [f"--port={ports[0]}", f"--rest_api_port={ports[1]}", f"--model_config_file={here / 'config'}"]
    flags += ["--max_num_load_retries=0", "--allow_reload_config"]
    server = Server(nursery, *ports, here / "log", flags).wait()
    try:
        with Client(f"127.0.0.1:{ports[0]}") as client:
            for name in ("tools", "score", "shapes"):
                client.wait_until_available(name, timeout_seconds=120)
        yield ports
    finally:
        server.stop()


@pytest.fixture
def client(ports):
    with Client(f"127.0.0.1:{ports[0]}") as connected:
        yield connected


@pytest.fixture
def run(ports, tmp_path):
    """A function that runs `tiffin predict` on rows, and returns the result and the outputs by row number."""

    def run(model, rows, *more, rest=False, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows) if isinstance(rows, list) else rows)
        address = f"127.0.0.1:{ports[rest]}"
        arguments = ["predict", "--model", model, "--address", address, *(["--rest"] if rest else []), *more]
        done = CliRunner().invoke(main, [*arguments, str(path)])
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        return done, {line["row"]: line["outputs"] for line in lines}

    return run


@pytest.fixture(params=[False, True], ids=["grpc", "rest"])
def rest(request):
    return request.param


class TestShapes:
    def test_rows_of_other_lengths(self, run, rest):
        rows = [{"x": [1, 2]}, {"x": [3]}, {"x": 4}, {"x": [5, 6]}, {"x": [[7], [8, 9]]}]
        done, found = run("shapes", rows, rest=rest)

        assert found == {1: {"total": 3.0}, 2: {"total": 3.0}, 3: {"total": 4.0}, 4: {"total": 11.0}}
        assert done.exit_code == 1
        assert done.stderr.startswith("row 5 (line 5): ")
        assert "'x'" in done.stderr.splitlines()[0]

    def test_inputs_of_rank_0(self, run, rest):
        done, found = run("shapes", [{"x": 1, "by": 2}, {"x": 3, "by": [4]}], "--signature", "scaled", rest=rest)

        assert (done.exit_code, found) == (0, {1: {"y": 2.0}, 2: {"y": 12.0}})
        assert "1 of 64" in done.stderr
        assert "'by'" in done.stderr

    def test_scalars_only(self, run, rest):
        done, found = run("shapes", [{"x": 1}, {"x": 2}], "--signature", "scalars", rest=rest)

        assert (done.exit_code, found) == (0, {1: {"y": 2.0, "z": -1.0}, 2: {"y": 3.0, "z": -2.0}})

    def test_outputs_of_rank_0(self, run, rest):
        done, found = run("shapes", [{"x": 1.5}, {"x": 2}], "--signature", "largest", rest=rest)

        assert (done.exit_code, found) == (0, {1: {"y": 1.5}, 2: {"y": 2.0}})
        assert "'y'" in done.stderr

    def test_a_fixed_batch(self, run, rest):
        done, found = run("shapes", [{"x": 1}, {"x": 2}, {"x": 3}], "--signature", "pairs", rest=rest)

        assert (done.exit_code, found) == (1, {1: {"y": 2.0}, 2: {"y": 4.0}})
        assert "2 of 64" in done.stderr
        assert "row 3 (line 3): Input 'x' " in done.stderr

    def test_inputs_that_the_server_fills(self, run):
        done, found = run("score", [{"a": 1}, {"a": 1, "b": 2}], "--signature", "defaults")

        assert (done.exit_code, found[2]) == (0, {"difference": -1.0, "sum": 3.0})
        assert found[1] == {"difference": -9.0, "sum": 11.0}


class TestTypes:
    @pytest.mark.parametrize(
        ("signature", "values"),
        [
            ("text", ["é", {"b64": "/w=="}, "", "a\0b"]),
            ("bytes", [0, 255]),
            ("flags", [True, False]),
            ("half", [0.1, 2048.0]),
            ("brain", [1.5, -3]),
        ],
    )
    def test_printed_outputs_are_inputs(self, run, signature, values):
        done, found = run("shapes", [{"x": value} for value in values], "--signature", signature)
        assert done.exit_code == 0, done.stderr
        name = "x" if signature == "text" else "y"
        back = [{"x": row[name]} for row in found.values()]
        again, other = run("shapes", back, "--signature", signature)
        assert again.exit_code == 0, again.stderr
        expected = {"flags": [not value for value in values], "brain": [3.0, -6.0]}.get(signature, values)

        assert [row[name] for row in found.values()] == expected
        if signature == "brain":
            assert [row[name] for row in other.values()] == [6.0, -12.0]
        else:
            assert [row["x"] for row in back] == expected

    def test_bytes_over_rest(self, run):
        done, found = run("shapes", [{"x": {"b64": "/w=="}}, {"x": "é"}], "--signature", "text", rest=True)

        assert done.exit_code == 0, done.stderr
        assert [row["x_bytes"] for row in found.values()] == [{"b64": "/w=="}, "é"]

    def test_complex_numbers(self, run):
        done, found = run("shapes", [{"x": "1+2j"}, {"x": 0.5}], "--signature", "waves")

        assert (done.exit_code, found) == (0, {1: {"y": "1-2j"}, 2: {"y": "0.5-0j"}})
        done, found = run("shapes", [{"x": "1+2j"}], "--signature", "waves", rest=True)
        assert (done.exit_code, found) == (1, {})

    def test_bfloat16_by_csv_and_arrays(self, run, client):
        done, found = run("shapes", "x\n1.5\n0.1\n", "--signature", "brain", name="rows.csv")

        assert (done.exit_code, found) == (0, {1: {"y": 3.0}, 2: {"y": 0.20019531}})
        answer = client.predict("shapes", {"x": np.array([[1.5]])}, "brain")["y"]
        assert outputs.split_rows({"y": answer}, 1) == [{"y": 3.0}]

    @pytest.mark.parametrize(
        ("signature", "value", "name"),
        [
            ("half", 70000.0, "70000.0"),
            ("half", 2049, "2049"),
            ("flags", 2, "2"),
            ("bytes", -1, "-1"),
            ("bytes", 1.5, "1.5"),
            ("brain", 3.4e38, "3.4e+38"),
            ("brain", None, "None"),
            ("text", None, "None"),
            ("half", None, "None"),
            ("half", "1", "'1'"),
            ("text", {"b64": "?"}, "'?'"),
        ],
    )
    def test_values_that_do_not_fit(self, run, client, signature, value, name):
        good = {"half": 1.0, "flags": True, "bytes": 1, "brain": 1, "text": "a"}[signature]
        # TensorFlow Serving's REST API takes neither of these types.
        for rest in (False, True)[: 1 if signature in ("half", "brain") else 2]:
            done, found = run("shapes", [{"x": good}, {"x": value}], "--signature", signature, rest=rest)

            assert (done.exit_code, list(found)) == (1, [1])
            assert done.stderr.startswith("row 2 (line 2): ")
            assert name in done.stderr
        with pytest.raises(InputError, match="'x'"):
            client.predict("shapes", {"x": [good, value]}, signature)

    def test_nan_is_sent_where_null_is_not(self, run):
        done, found = run("shapes", '{"x": NaN}\n{"x": null}\n', "--signature", "half")

        assert (done.exit_code, found) == (1, {1: {"y": None}})


class TestExamples:
    @pytest.mark.parametrize("signature", ["regress_named", "classify_named"])
    def test_signatures_that_are_known_to_take_them(self, run, rest, signature):
        done, found = run("tools", [{"x": 0.25, "other": "a"}, {"other": "b"}], "--signature", signature, rest=rest)

        assert done.exit_code == 0, done.stderr
        assert "note: " in done.stderr
        if signature == "regress_named":
            assert found == {1: {"outputs": 0.5}, 2: {"outputs": 0.0}}
        else:
            assert found[1] == {"classes": ["no", "yes"], "scores": [0.5, 0.5]}

    def test_the_rows_are_those_of_regress(self, run, client):
        rows = [{"x": 0.25}, {"x": 1.5}]
        _, found = run("tools", rows, "--signature", "regress_named")

        assert [row["outputs"] for row in found.values()] == client.regress("tools", rows, "regress_named").tolist()

    def test_signatures_for_predict_are_asked_about(self, run, client, rest):
        done, found = run("tools", [{"x": 0.25}], "--signature", "regress_flat", rest=rest)
        assert (done.exit_code, found) == (1, {})
        assert "--as-examples" in done.stderr

        done, found = run("tools", [{"x": 0.25}], "--signature", "regress_flat", "--as-examples", rest=rest)
        assert (done.exit_code, found) == (0, {1: {"outputs": 0.5}})

        with pytest.raises(InputError, match=r"'x'.*\bregress\b"):
            client.predict("tools", {"x": [0.25]}, "regress_flat")

    def test_serialized_examples_are_passed_on(self, run):
        example = tf.train.Example()
        example.features.feature["x"].float_list.value.append(0.25)
        row = {"inputs": {"b64": base64.b64encode(example.SerializeToString()).decode()}}

        for more in (["regress_named"], ["regress_flat"], ["regress_flat", "--as-examples"]):
            assert run("tools", [row], "--signature", *more)[1] == {1: {"outputs": 0.5}}

    def test_a_feature_of_another_type(self, run):
        done, found = run("tools", [{"x": 1.0}, {"x": 1}], "--signature", "regress_named")

        assert (done.exit_code, found) == (1, {1: {"outputs": 2.0}})
        assert "int64" in done.stderr

    def test_text_has_no_types(self, run):
        done, found = run("tools", "x\n1\n", "--signature", "regress_named", name="rows.csv")

        assert (done.exit_code, found) == (2, {})
        assert "Parquet" in done.stderr

    def test_other_signatures_take_columns(self, run):
        done, found = run("tools", [{"x": 1}], "--signature", "half", "--as-examples")

        assert (done.exit_code, found) == (2, {})
        assert "x (float32)" in done.stderr


class TestFiles:
    @pytest.mark.parametrize(
        "content",
        [
            '[{"x": [1, 2]}, {"x": [3, 4]}]',
            '[\n  {"x": [1, 2]},\n  {"x": [3, 4]}\n]\n',
            '{"instances": [{"x": [1, 2]}, {"x": [3, 4]}]}',
            '{"instances": [[1, 2], [3, 4]]}',
            '{"inputs": {"x": [[1, 2], [3, 4]]}}',
            '{"signature_name": "serving_default", "inputs": [[1, 2], [3, 4]]}',
            '{"x": [1, 2]}\n{"x": [3, 4]}\n',
        ],
    )
    def test_json(self, run, rest, content):
        done, found = run("shapes", content, rest=rest, name="rows.json")

        assert (done.exit_code, found) == (0, {1: {"total": 3.0}, 2: {"total": 7.0}})

    def test_the_signature_of_a_request(self, run):
        request = '{"signature_name": "largest", "instances": [1, 2]}'
        assert run("shapes", request, name="rows.json")[1] == {1: {"y": 1.0}, 2: {"y": 2.0}}

        done, _ = run("shapes", request, "--signature", "half", name="rows.json")
        assert done.exit_code == 2
        assert [name for name in ("half", "'largest'") if name not in done.stderr] == []


class TestHints:
    """The next step fits the method."""

    @pytest.mark.parametrize(
        ("ask", "code", "hint", "not_hint"),
        [
            (lambda c: c.predict("score", {"x": [[1, 2, 3]]}, label="x"), "INVALID_ARGUMENT", "labels", "signature"),
            (lambda c: c.classify("score", {"x": [1]}, label="x"), "INVALID_ARGUMENT", "labels", "signature"),
            (lambda c: c.metadata("score", label="x"), "INVALID_ARGUMENT", "labels", "types"),
            (lambda c: c.predict("score", {}, "nope"), "FAILED_PRECONDITION", "metadata", "loaded"),
            (lambda c: c.explain("score", {}), "FAILED_PRECONDITION", "Tiffin", "loaded"),
            (lambda c: c.classify("score", {"x": [1]}), "INVALID_ARGUMENT", "tf.Examples", "shapes"),
            (lambda c: c.regress("tools", {"x": ["a"]}), "INVALID_ARGUMENT", "int64", "shapes"),
            (lambda c: c.predict("score", {"x": [[1, 2, 3]]}, outputs=["z"]), "INVALID_ARGUMENT", "outputs", "types"),
            (lambda c: c.status("nope"), "NOT_FOUND", "name", "rows"),
        ],
    )
    def test_hints(self, client, ask, code, hint, not_hint):
        with pytest.raises(ServingError) as raised:
            ask(client)

        assert raised.value.code == code
        last = str(raised.value).rsplit(". ", 1)[-1]
        assert hint in last
        assert not_hint not in last


class TestReload:
    """A reload that waits blocks those after it, so the tests with one are last."""

    @pytest.fixture
    def fail(self, ports):
        """A function that reloads a config with each client, and returns the errors' code and texts.

        A function makes the configs, since a model that failed to load is not new to the server in the next config.
        """

        async def run(config, timeout_seconds):
            async with AsyncClient(f"127.0.0.1:{ports[0]}") as client:
                with pytest.raises(ServingError) as raised:
                    await client.reload_config(config, timeout_seconds=timeout_seconds)
            return raised.value

        def fail(make, timeout_seconds=2.0):
            with Client(f"127.0.0.1:{ports[0]}") as client, pytest.raises(ServingError) as raised:
                client.reload_config(make("one"), timeout_seconds=timeout_seconds)
            other = asyncio.run(run(make("two"), timeout_seconds))
            assert other.code == raised.value.code
            return other.code, str(raised.value), str(other)

        return fail

    def test_a_label_of_a_version_that_is_not_loaded(self, fail, entries, folder):
        score = model_config.make_model("score", str(folder / "score"), labels={"stable": 7})
        code, *texts = fail(lambda _: model_config.make_config([entries[0], score, entries[2]]), 60)

        assert code == "FAILED_PRECONDITION"
        assert [text for text in texts if "signature" in text] == []

    def test_a_model_that_cannot_be_loaded(self, fail, entries, tmp_path):
        (tmp_path / "torn" / "1").mkdir(parents=True)
        (tmp_path / "torn" / "1" / "saved_model.pb").write_bytes(b"torn")

        def make(name):
            return model_config.make_config([*entries, model_config.make_model(name, str(tmp_path / "torn"))])

        code, *texts = fail(make, 60)

        assert code != "DEADLINE_EXCEEDED"
        assert [text for text in texts if f"'{tmp_path}/torn'" not in text] == []

    def test_a_base_path_that_is_not_there(self, fail, entries, folder):
        def make(name):
            return model_config.make_config([*entries, model_config.make_model(name, str(folder / "none"))])

        code, *texts = fail(make)

        assert code == "DEADLINE_EXCEEDED"
        for name, text in zip(("'one'", "'two'"), texts, strict=True):
            assert [wanted for wanted in (name, f"'{folder}/none'") if wanted not in text] == []
            assert "'score'" not in text

    def test_a_version_that_is_not_there(self, fail, entries, folder):
        score = model_config.make_model("score", str(folder / "score"), [1, 9])
        code, *texts = fail(lambda _: model_config.make_config([entries[0], score, entries[2]]))

        assert code == "DEADLINE_EXCEEDED"
        for text in texts:
            assert [name for name in ("version 9", "'score'", f"'{folder}/score'") if name not in text] == []
            assert "version 1 " not in text
