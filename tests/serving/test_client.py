import asyncio
import contextlib
import datetime
import errno
import inspect
import os
import socket
import subprocess
import sys
import threading
import time
from concurrent import futures

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support import model_servers
from tiffin.errors import InputError, ServingError
from tiffin.serving import AsyncClient, Client, Tls, model_config, wire

ROWS = [
    {"miles": 1.5, "passengers": 2, "company": "Blue"},
    {"miles": None, "passengers": 1, "company": None},
]


@pytest.fixture
def server():
    with model_servers.serve() as served:
        yield served


class _Awaited:
    """An AsyncClient with the interface of a Client, so that the same tests run for both."""

    def __init__(self, address, **options):
        self._loop = asyncio.new_event_loop()
        self._client = self._run(self._make(address, options))

    async def _make(self, address, options):
        return AsyncClient(address, **options)

    def _run(self, awaitable):
        return self._loop.run_until_complete(awaitable)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self._loop.close()

    def __getattr__(self, name):
        return lambda *args, **kwargs: self._run(getattr(self._client, name)(*args, **kwargs))


@pytest.fixture(params=[Client, _Awaited], ids=["sync", "asyncio"])
def connect(request):
    return request.param


@pytest.fixture
def client(server, connect):
    with connect(server.address, timeout_seconds=10) as connected:
        yield connected


class TestPredict:
    def test_rows(self, client):
        answer = client.predict("taxi", ROWS)

        assert answer["scores"].dtype == np.float32
        assert answer["scores"].shape == (2, 1)
        assert answer["scores"][0, 0] == 5.0
        assert np.isnan(answer["scores"][1, 0])
        assert answer["company"].tolist() == [[b"Blue"], [b""]]

    def test_columns_and_a_single_row(self, client):
        lists = client.predict("taxi", {"miles": [1, 2], "passengers": [1, 1], "company": ["a", "b"]})
        single = client.predict("taxi", {"miles": 1, "passengers": 1, "company": "a"})

        assert lists["scores"].tolist() == [[3.0], [5.0]]
        assert single["scores"].tolist() == [[3.0]]

    def test_arrays_keep_their_shape(self, client, server):
        arrays = {"miles": np.ones((2, 1), "f4"), "passengers": np.ones((2, 1), "i8"), "company": np.array(["a", "b"])}

        assert client.predict("taxi", arrays)["scores"].tolist() == [[3.0], [3.0]]
        assert [dim.size for dim in server.requests[-1][1].inputs["company"].tensor_shape.dim] == [2]

    def test_arrays_are_cast_if_nothing_is_lost(self, client):
        arrays = {"miles": np.array([[1.5]]), "passengers": np.array([[2.0]], "f4"), "company": np.array([["a"]])}

        assert client.predict("taxi", arrays)["scores"].tolist() == [[5.0]]

    def test_arrays_are_rounded_only_if_asked(self, client, server):
        arrays = {"miles": np.array([[0.1]]), "passengers": np.array([[2]], "i4"), "company": np.array([["a"]])}
        with pytest.raises(InputError, match=r"'miles'.* float32\b.* float64\b.* 0\.1\..*cast=True"):
            client.predict("taxi", arrays)
        assert server.calls("Predict") == 0

        assert client.predict("taxi", arrays, cast=True)["scores"].tolist() == [[pytest.approx(2.2)]]

    def test_arrays_out_of_range_are_refused_even_if_asked(self, client):
        arrays = {"miles": np.array([[1e39]]), "passengers": np.array([[2]]), "company": np.array([["a"]])}
        with pytest.raises(InputError, match=r"'miles'.* float32, .*Received: 1e\+39\."):
            client.predict("taxi", arrays, cast=True)

    def test_missing_values_are_refused_unless_tiffin_trained_the_model(self, client, server):
        server.by_tiffin = False
        for name, instead in (("miles", "NaN"), ("company", "''")):
            rows = [ROWS[0], {**ROWS[0], name: None}]
            with pytest.raises(InputError, match=rf"'{name}'.*Tiffin.*Received: None .*row 1\..* {instead}\."):
                client.predict("taxi", rows)
        assert server.calls("Predict") == 0

        assert np.isnan(client.predict("taxi", [{**ROWS[0], "miles": float("nan")}])["scores"][0, 0])

    def test_metadata_is_fetched_once(self, client, server):
        for _ in range(3):
            client.predict("taxi", ROWS)
        client.predict("taxi", ROWS, signature="explain")

        assert server.calls("GetModelMetadata") == 1

    def test_a_new_version_with_other_input_types(self, client, server):
        client.predict("taxi", ROWS[:1])
        server.types["passengers"] = "DT_DOUBLE"

        assert client.predict("taxi", ROWS[:1])["scores"].tolist() == [[5.0]]
        assert server.calls("GetModelMetadata") == 2

    def test_a_new_version_with_another_input(self, client, server):
        client.predict("taxi", ROWS[:1])
        server.types["tip"] = "DT_FLOAT"

        assert client.predict("taxi", [{**ROWS[0], "tip": 1}])["scores"].tolist() == [[5.0]]
        assert server.calls("GetModelMetadata") == 2

    def test_an_error_of_the_values_is_not_retried(self, client, server):
        client.predict("taxi", ROWS[:1])
        with pytest.raises(ServingError, match=r"\[bad company\]") as caught:  # contract: TensorFlow Serving's text
            client.predict("taxi", [{**ROWS[0], "company": "bad"}])

        assert caught.value.code == "INVALID_ARGUMENT"
        assert server.calls("Predict") == 2

    def test_outputs_are_filtered(self, client):
        assert list(client.predict("taxi", ROWS, outputs=["scores"])) == ["scores"]

    def test_explain(self, client):
        assert client.explain("taxi", ROWS[:1])["attributions"].tolist() == [[3.0, 2.0]]

    def test_version_and_label(self, client, server):
        client.predict("taxi", ROWS, version=2)
        assert server.requests[-1][1].model_spec.version.value == 2

        client.predict("taxi", ROWS, label="stable")
        assert server.requests[-1][1].model_spec.version_label == "stable"

        with pytest.raises(InputError, match=r"version=2.*label='stable'"):
            client.predict("taxi", ROWS, version=2, label="stable")
        with pytest.raises(InputError, match=r"version=-1"):
            client.predict("taxi", ROWS, version=-1)

    def test_the_server_rejects_an_unknown_signature(self, client, server):
        def refuse(_request, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "s" not found.')

        server.answers["Predict"] = refuse
        with pytest.raises(ServingError, match=r'signature.* "s" ') as caught:
            client.predict("taxi", {"miles": [1.0]}, signature="s")
        assert caught.value.code == "FAILED_PRECONDITION"

    @pytest.mark.parametrize(
        ("inputs", "pattern"),
        [
            ({"mile": [1.0]}, r"company, miles, passengers\b.*'mile'.*'miles'\?"),
            ({"passengers": [None]}, r"'passengers'.* int64.* missing .*Received: None"),
            ({"passengers": [1.5]}, r"'passengers'.* integer.*Received: 1\.5"),
            ({"passengers": [1 << 70]}, rf"'passengers'.* int64.* -{1 << 63} .*Received: {1 << 70}"),
            ({"passengers": ["3"]}, r"'passengers'.* integer.*Received: '3' \(str\)"),
            ({"miles": ["far"]}, r"'miles'.* number.*Received: 'far'"),
            ({"company": [3]}, r"'company'.* text.*Received: 3 \(int\)"),
            ({"miles": [[1.0, 2.0]]}, r"'miles'.*\[any, 1\].*Received: \[1, 2\]"),
            ({"miles": [[1.0], [2.0, 3.0]]}, r"'miles'.* length.*\[1\] .*row 0, \[2\] .*row 1\."),
            ([], "inputs.* dict .*Received: list"),
            ("text", "inputs.* dict .*Received: str"),
            ([1, 2], "inputs.* dict .*Received: list"),
        ],
    )
    def test_values_that_do_not_fit(self, client, inputs, pattern):
        with pytest.raises(InputError, match=pattern):
            client.predict("taxi", inputs)

    def test_large_messages(self, client):
        rows = 400_000
        arrays = {
            "miles": np.arange(rows, dtype="f4").reshape(-1, 1),
            "passengers": np.zeros((rows, 1), "i8"),
            "company": np.full((rows, 1), b"x" * 20, dtype=object),
        }
        answer = client.predict("taxi", arrays)

        assert answer["scores"][-1, 0] == 2 * (rows - 1)
        assert answer["company"].size == rows


class TestOtherCalls:
    def test_classify(self, client, server):
        [[no, yes]] = client.classify("taxi", [{"miles": 0.25, "passengers": 2, "company": "ü", "absent": None}])

        assert (no.label, no.score, yes.label, yes.score) == ("no", 0.75, "yes", 0.25)
        [example] = server.requests[-1][1].input.example_list.examples
        assert set(example.features.feature) == {"miles", "passengers", "company"}
        assert example.features.feature["company"].bytes_list.value == ["ü".encode()]

    def test_regress(self, client):
        assert client.regress("taxi", {"a": [1, 2], "b": np.array([0.5, np.nan])}).tolist() == [2.0, 1.0]

    @pytest.mark.parametrize(
        ("inputs", "pattern"),
        [
            ({"a": [1], "b": [1, 2]}, r"Received: a: 1, b: 2"),
            ({}, "Received: .*columns"),
            ({"a": 1}, "'a'.* list .*Received: 1"),
            ([{"a": {}}], r"'a'.* text.*Received: \{\} \(dict\)"),
            ([{"a": 1 << 64}], f"'a'.* 64 .*Received: {1 << 64}"),
        ],
    )
    def test_examples_that_cannot_be_created(self, client, inputs, pattern):
        with pytest.raises(InputError, match=pattern):
            client.regress("taxi", inputs)

    def test_metadata(self, client):
        found = client.metadata("taxi")

        assert sorted(found) == ["examples", "explain", "serving_default"]
        assert found["explain"].inputs["company"].dtype == "string"
        assert found["explain"].inputs["miles"].shape == (None, 1)
        assert found["explain"].method_name == "tensorflow/serving/predict"

    def test_invalid_metadata(self, client, server):
        def garble(_request, _context):
            response = wire.GetModelMetadataResponse()
            response.metadata["signature_def"].value = b"\xff\xff"
            return response

        server.answers["GetModelMetadata"] = garble
        with pytest.raises(ServingError, match="'signature_def'") as caught:
            client.metadata("taxi")
        assert caught.value.code == "DATA_LOSS"

    def test_status(self, client, server):
        server.versions.insert(0, (3, "END", 3, "no such file"))

        assert client.status("taxi") == [(3, "END", "no such file"), (2, "AVAILABLE", ""), (1, "END", "")]

    def test_reload_config(self, client, server):
        config = model_config.make_config([model_config.make_model("taxi", "/models/taxi", [1, 2])])
        client.reload_config(config)
        assert server.config == config

        client.reload_config(model_config.format_config(config))
        assert server.config == config

    def test_reload_config_rejected_in_the_response_only(self, client, server):
        def refuse(_request, _context):
            response = wire.ReloadConfigResponse()
            response.status.error_code, response.status.error_message = 3, "Illegal to list model m multiple times."
            return response

        server.answers["HandleReloadConfigRequest"] = refuse
        with pytest.raises(ServingError, match=r"INVALID_ARGUMENT: Illegal .* m ") as caught:
            client.reload_config(model_config.make_config())
        assert caught.value.code == "INVALID_ARGUMENT"

    def test_both_clients_have_the_same_methods(self):
        def surface(kind):
            return {
                name: list(inspect.signature(method).parameters.values())
                for name, method in vars(kind).items()
                if not name.startswith("_")
            }

        assert surface(Client) == surface(AsyncClient)


class TestWaiting:
    def test_an_available_version(self, client):
        client.wait_until_available("taxi", 2, timeout_seconds=1)
        client.wait_until_available("taxi", timeout_seconds=1)

    def test_a_version_that_becomes_available(self, client, server):
        server.versions = [(3, "LOADING", 0, "")]
        threading.Timer(0.3, lambda: server.versions.insert(0, (3, "AVAILABLE", 0, ""))).start()
        client.wait_until_available("taxi", 3, timeout_seconds=60)

        assert server.versions[0][:2] == (3, "AVAILABLE")

    def test_a_server_that_starts(self, connect):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        ready = threading.Event()

        def start_later():
            time.sleep(0.3)
            with model_servers.serve(address):
                ready.wait(120)

        thread = threading.Thread(target=start_later)
        thread.start()
        try:
            with connect(address) as client:
                client.wait_until_available("taxi", 2, timeout_seconds=60)
        finally:
            ready.set()
            thread.join()

    def test_a_version_that_fails_ends_the_wait(self, client, server):
        server.versions = [(3, "END", 9, "Could not find SavedModel.")]
        with pytest.raises(ServingError, match=r" 3 .*'taxi'.* SavedModel\. ") as caught:
            # Longer than the timeout of a test, which passes only if the wait ends at once.
            client.wait_until_available("taxi", 3, timeout_seconds=3600)
        assert caught.value.code == "FAILED_PRECONDITION"

    def test_the_last_response_is_kept_when_the_next_call_hits_the_deadline(self, client, server):
        over = threading.Event()

        class Versions:
            asked = 0

            def __iter__(self):
                self.asked += 1
                if self.asked > 1:
                    over.wait(60)
                return iter([(3, "LOADING", 0, "")])

        server.versions = Versions()
        try:
            with pytest.raises(ServingError, match=r"version 3 LOADING"):
                client.wait_until_available("taxi", 3, timeout_seconds=2)
        finally:
            over.set()

    def test_timeout(self, client, server):
        server.versions = [(3, "LOADING", 0, "")]
        with pytest.raises(ServingError, match=r" 2 s\. .*version 3 LOADING") as caught:
            client.wait_until_available("taxi", 3, timeout_seconds=2)
        assert caught.value.code == "DEADLINE_EXCEEDED"

        with pytest.raises(ServingError, match=r"'bus'.*GetModelStatus .*NOT_FOUND: ") as caught:
            client.wait_until_available("bus", 3, timeout_seconds=2)
        assert caught.value.code == "DEADLINE_EXCEEDED"


class TestConnection:
    def test_an_error_has_the_code_and_the_servers_text(self, client):
        with pytest.raises(ServingError) as caught:
            client.predict("bus", {"x": np.ones(1)})

        assert caught.value.code == "NOT_FOUND"
        for name in ("GetModelMetadata", "'bus'", "127.0.0.1:", "NOT_FOUND", "Latest(bus)"):
            assert name in str(caught.value)

    def test_no_server(self, connect):
        with (
            connect("127.0.0.1:9") as client,
            pytest.raises(ServingError, match=r"127\.0\.0\.1:9 \(127\.0\.0\.1: ") as caught,
        ):
            client.status("taxi")
        assert caught.value.code == "UNAVAILABLE"

    def test_deadline(self, client, server):
        client.predict("taxi", ROWS[:1])
        server.answers["Predict"] = model_servers.slow(1.0, server.Predict)
        with pytest.raises(ServingError, match="timeout_seconds") as caught:
            client.predict("taxi", ROWS[:1], timeout_seconds=0.1)

        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert server.calls("Predict") == 2

    def test_only_read_only_calls_are_retried_while_unavailable(self, client, server):
        unavailable = grpc.StatusCode.UNAVAILABLE
        server.answers["GetModelStatus"] = model_servers.fail_times(2, unavailable, server.GetModelStatus)
        assert client.status("taxi")
        assert server.calls("GetModelStatus") == 3

        reload = server.HandleReloadConfigRequest
        server.answers["HandleReloadConfigRequest"] = model_servers.fail_times(1, unavailable, reload)
        with pytest.raises(ServingError):
            client.reload_config(model_config.make_config())
        assert server.calls("HandleReloadConfigRequest") == 1

    def test_other_errors_are_not_retried(self, client, server):
        server.answers["Predict"] = model_servers.fail_times(1, grpc.StatusCode.RESOURCE_EXHAUSTED, server.Predict)
        with pytest.raises(ServingError, match="RESOURCE_EXHAUSTED") as caught:
            client.predict("taxi", ROWS[:1])
        assert caught.value.code == "RESOURCE_EXHAUSTED"
        assert server.calls("Predict") == 1

    @pytest.mark.parametrize("answer", [b"\xff\xff\xff", b"\x0a\x7f", b"\x0a\x04\x0a\x01y\x12"])
    def test_a_response_that_cannot_be_parsed(self, connect, answer):
        method = wire.METHODS["GetModelStatus"]
        handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
        server = grpc.server(futures.ThreadPoolExecutor(1))
        service = grpc.method_handlers_generic_handler(method.path.split("/")[1], {"GetModelStatus": handler})
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with connect(f"127.0.0.1:{port}") as client, pytest.raises(ServingError) as caught:
                client.status("taxi")
        finally:
            server.stop(0).wait()

        assert caught.value.code in ("INTERNAL", "DATA_LOSS")

    def test_headers(self, server, connect):
        with connect(server.address, metadata={"Authorization": "Bearer x"}) as client:
            client.status("taxi")
        assert server.headers["authorization"] == "Bearer x"

    def test_headers_of_a_request(self, server, connect):
        with connect(server.address, metadata={"authorization": "Bearer x"}) as client:
            for ask in (client.predict, client.predict_rows):
                ask("taxi", ROWS, metadata={"X-Tiffin-Key": "order-17"})
                assert (server.headers["authorization"], server.headers["x-tiffin-key"]) == ("Bearer x", "order-17")
                ask("taxi", ROWS)
                assert "x-tiffin-key" not in server.headers
                with pytest.raises(InputError, match="'x-tiffin-key'"):
                    ask("taxi", ROWS, metadata={"x-tiffin-key": "ü"})

    @pytest.mark.parametrize(("model", "sent"), [("taxi", "taxi"), ("ü", None), ("a\nb", None)])
    def test_the_models_name_is_a_header(self, server, connect, model, sent):
        with connect(server.address) as client, contextlib.suppress(ServingError):
            client.status(model)
        assert server.headers.get("x-tiffin-model") == sent

    def test_unix_socket(self, tmp_path, connect):
        with model_servers.serve(f"unix:{tmp_path}/s") as served, connect(served.address) as client:
            assert client.status("taxi")[0].version == 2

    def test_a_web_server_is_not_a_model_server(self, connect):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def answer():
                while True:
                    try:
                        connection, _ = listener.accept()
                    except OSError:
                        return
                    with connection:
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

            threading.Thread(target=answer, daemon=True).start()
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            refused = pytest.raises(ServingError, match=r"HTTP/1\b.* 8500 .* 8501 .*REST")
            with connect(address, timeout_seconds=5) as client, refused:
                client.status("taxi")
            listener.shutdown(socket.SHUT_RDWR)

    def test_closed(self, server, connect):
        client = connect(server.address)
        client.close()
        with pytest.raises(ServingError, match="closed") as caught:
            client.status("taxi")
        assert caught.value.code == "CANCELLED"
        if connect is _Awaited:
            client._loop.close()

    def test_threads_share_a_client(self, server):
        failures = []
        with Client(server.address) as client:

            def ask():
                for _ in range(20):
                    if client.predict("taxi", ROWS[:1])["scores"][0, 0] != 5.0:
                        failures.append(1)

            threads = [threading.Thread(target=ask) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert not failures

    @pytest.mark.parametrize(
        ("address", "pattern"),
        [
            ("http://localhost:8501", "gRPC.*'http://localhost:8501'.*8500"),
            ("", "host:port.*''.*localhost:8500"),
            (":8500", "host:port.*':8500'.*localhost:8500"),
            ("host:port", "65535.*'host:port'.*host:8500"),
            ("host:70000", "65535.*'host:70000'.*host:8500"),
        ],
    )
    def test_invalid_addresses(self, address, pattern):
        with pytest.raises(InputError, match=pattern):
            Client(address)

    @pytest.mark.parametrize(
        ("address", "target"),
        [
            ("localhost", "localhost:8500"),
            ("grpc://model:9000/", "model:9000"),
            ("[::1]", "[::1]:8500"),
            ("unix:/s", "unix:/s"),
            ("dns:///model:8500", "dns:///model:8500"),
        ],
    )
    def test_addresses(self, address, target):
        with Client(address) as client:
            assert client.address == target

    @pytest.mark.parametrize("headers", [{"": "x"}, {"a b": "x"}, {"a": "x\ny"}, {"a": "ü"}, {"a": 3}])
    def test_headers_that_cannot_be_sent(self, headers):
        with pytest.raises(InputError, match=r"header.*Received: ('|str|int)"):
            Client("localhost", metadata=headers)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "model.test")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("model.test")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return folder


class TestTls:
    @pytest.fixture
    def tls_server(self, certificate):
        pair = ((certificate / "key.pem").read_bytes(), (certificate / "cert.pem").read_bytes())
        credentials = grpc.ssl_server_credentials([pair], pair[1], require_client_auth=True)
        with model_servers.serve(credentials=credentials) as served:
            yield served

    def test_mutual_tls(self, tls_server, certificate, connect):
        cert = certificate / "cert.pem"
        tls = Tls(cert, cert, certificate / "key.pem", server_name="model.test")
        with connect(tls_server.address, tls=tls) as client:
            assert client.status("taxi")[0].version == 2

    @pytest.mark.parametrize("tls", [True, False])
    def test_a_server_that_is_not_trusted(self, tls_server, connect, tls):
        refused = pytest.raises(ServingError, match=r"UNAVAILABLE.* (TLS|self-signed)\b")
        with connect(tls_server.address, tls=tls, timeout_seconds=5) as client, refused:
            client.status("taxi")

    def test_missing_files(self, tmp_path):
        with pytest.raises(
            InputError, match=rf"ca_file.* PEM .*'{tmp_path}/none\.pem' \({os.strerror(errno.ENOENT)}\)"
        ):
            Client("localhost", tls=Tls(tmp_path / "none.pem"))
        with pytest.raises(InputError, match=rf"certificate_file={tmp_path}/none\.pem, key_file=None"):
            Client("localhost", tls=Tls(certificate_file=tmp_path / "none.pem"))


def test_the_import_does_not_load_tensorflow_or_pandas():
    script = (
        "import sys; from tiffin.serving import Client\n"
        "print([name for name in ('tensorflow', 'pandas', 'google.cloud.storage', 'requests', 'ml_dtypes', 'kfp')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
