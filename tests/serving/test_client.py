import asyncio
import datetime
import inspect
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
    """An AsyncClient behind the face of a Client, so that the same tests hold for both."""

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

    def test_arrays_are_sent_as_they_are_without_metadata(self, client, server):
        arrays = {
            "miles": np.ones((2, 1), "f4"),
            "passengers": np.ones((2, 1), "i8"),
            "company": np.array([["a"], ["b"]]),
        }

        assert client.predict("taxi", arrays)["scores"].tolist() == [[3.0], [3.0]]
        assert server.calls("GetModelMetadata") == 0

    def test_metadata_is_fetched_once(self, client, server):
        for _ in range(3):
            client.predict("taxi", ROWS)
        client.predict("taxi", ROWS, signature="explain")

        assert server.calls("GetModelMetadata") == 1

    def test_a_new_version_that_takes_other_types(self, client, server):
        client.predict("taxi", ROWS[:1])
        server.types["passengers"] = "DT_DOUBLE"

        assert client.predict("taxi", ROWS[:1])["scores"].tolist() == [[5.0]]
        assert server.calls("GetModelMetadata") == 2

    def test_an_error_of_the_values_is_not_hidden_by_fetching_again(self, client, server):
        client.predict("taxi", ROWS[:1])
        with pytest.raises(ServingError, match="bad company") as caught:
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

        with pytest.raises(InputError, match="a version or a label, not both"):
            client.predict("taxi", ROWS, version=2, label="stable")
        with pytest.raises(InputError, match=r"whole number from 0. Received: version=-1"):
            client.predict("taxi", ROWS, version=-1)

    def test_a_signature_that_is_not_there_is_refused_by_the_server(self, client, server):
        def refuse(_request, context):
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'Serving signature key "s" not found.')

        server.answers["Predict"] = refuse
        with pytest.raises(ServingError, match=r'Serving signature key "s" not found. Compare the signature'):
            client.predict("taxi", {"miles": [1.0]}, signature="s")

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            (
                {"mile": [1.0]},
                r"should be one of the model's: company, miles, passengers. Received: 'mile'. Did you mean",
            ),
            ({"passengers": [None]}, r"'passengers' should be a int64, which has no missing value. Received: None"),
            ({"passengers": [1.5]}, r"'passengers' should be a whole number. Received: 1.5"),
            ({"passengers": [1 << 70]}, r"should be a int64, -9223372036854775808 to"),
            ({"passengers": ["3"]}, r"should be a whole number. Received: '3' \(str\)"),
            ({"miles": ["far"]}, r"'miles' should be a number. Received: 'far'"),
            ({"company": [3]}, r"'company' should be text. Received: 3 \(int\)"),
            ({"miles": [[1.0, 2.0]]}, r"should have the shape \[any, 1\]. Received: \[1, 2\]"),
            ({"miles": [[1.0], [2.0, 3.0]]}, r"rows of the same length"),
            ([], "Inputs should be a dict of columns, a non-empty list"),
            ("text", "Inputs should be a dict of columns"),
            ([1, 2], "Inputs should be a dict of columns"),
        ],
    )
    def test_values_that_do_not_fit(self, client, inputs, message):
        with pytest.raises(InputError, match=message):
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
        ("inputs", "message"),
        [
            ({"a": [1], "b": [1, 2]}, r"same number of rows. Received: a: 1, b: 2"),
            ({}, "Received: no column"),
            ({"a": 1}, "Column 'a' should be a list"),
            ([{"a": {}}], "'a' should be text, numbers"),
            ([{"a": 1 << 64}], "should fit 64 bits"),
        ],
    )
    def test_examples_that_cannot_be_made(self, client, inputs, message):
        with pytest.raises(InputError, match=message):
            client.regress("taxi", inputs)

    def test_metadata(self, client):
        found = client.metadata("taxi")

        assert sorted(found) == ["explain", "serving_default"]
        assert found["explain"].inputs["company"].dtype == "string"
        assert found["explain"].inputs["miles"].shape == (None, 1)
        assert found["explain"].method_name == "tensorflow/serving/predict"

    def test_metadata_that_is_none(self, client, server):
        def garble(_request, _context):
            response = wire.GetModelMetadataResponse()
            response.metadata["signature_def"].value = b"\xff\xff"
            return response

        server.answers["GetModelMetadata"] = garble
        with pytest.raises(ServingError, match="should be a map of signatures"):
            client.metadata("taxi")

    def test_status(self, client, server):
        server.versions.insert(0, (3, "END", 3, "no such file"))

        assert client.status("taxi") == [(3, "END", "no such file"), (2, "AVAILABLE", ""), (1, "END", "")]

    def test_reload_config(self, client, server):
        config = model_config.make_config([model_config.make_model("taxi", "/models/taxi", [1, 2])])
        client.reload_config(config)
        assert server.config == config

        client.reload_config(model_config.format_config(config))
        assert server.config == config

    def test_reload_config_refused_in_the_reply_only(self, client, server):
        def refuse(_request, _context):
            response = wire.ReloadConfigResponse()
            response.status.error_code, response.status.error_message = 3, "Illegal to list model m multiple times."
            return response

        server.answers["HandleReloadConfigRequest"] = refuse
        with pytest.raises(ServingError, match="INVALID_ARGUMENT: Illegal to list model m") as caught:
            client.reload_config(model_config.make_config())
        assert caught.value.code == "INVALID_ARGUMENT"

    def test_nothing_is_forgotten_in_either(self):
        def surface(kind):
            return {
                name: list(inspect.signature(method).parameters.values())
                for name, method in vars(kind).items()
                if not name.startswith("_")
            }

        assert surface(Client) == surface(AsyncClient)


class TestWaiting:
    def test_a_version_that_is_there(self, client):
        client.wait_until_available("taxi", 2, timeout_seconds=1)
        client.wait_until_available("taxi", timeout_seconds=1)

    def test_a_version_that_comes(self, client, server):
        server.versions = [(3, "LOADING", 0, "")]
        threading.Timer(0.3, lambda: server.versions.insert(0, (3, "AVAILABLE", 0, ""))).start()
        client.wait_until_available("taxi", 3, timeout_seconds=60)

        assert server.versions[0][:2] == (3, "AVAILABLE")

    def test_a_server_that_comes(self, connect):
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
        with pytest.raises(ServingError, match=r"Version 3 of model 'taxi' did not load: Could not find SavedModel"):
            # Longer than a test may take: only an answer at once passes.
            client.wait_until_available("taxi", 3, timeout_seconds=3600)

    def test_an_answer_counts_more_than_the_call_that_the_deadline_cuts_short(self, client, server):
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
            with pytest.raises(ServingError, match=r"Received last: version 3 LOADING"):
                client.wait_until_available("taxi", 3, timeout_seconds=2)
        finally:
            over.set()

    def test_too_late(self, client, server):
        server.versions = [(3, "LOADING", 0, "")]
        with pytest.raises(ServingError, match=r"within 2 s. Received last: version 3 LOADING") as caught:
            client.wait_until_available("taxi", 3, timeout_seconds=2)
        assert caught.value.code == "DEADLINE_EXCEEDED"

        with pytest.raises(ServingError, match=r"Received last: GetModelStatus .* NOT_FOUND: Could not find any"):
            client.wait_until_available("bus", 3, timeout_seconds=2)


class TestConnection:
    def test_errors_keep_their_code_and_say_what_to_do(self, client):
        with pytest.raises(ServingError) as caught:
            client.predict("bus", {"x": np.ones(1)})

        assert caught.value.code == "NOT_FOUND"
        assert "Predict on model 'bus' at 127.0.0.1:" in str(caught.value)
        assert "Servable not found for request: Latest(bus). Check the model's name" in str(caught.value)

    def test_nobody_answers(self, connect):
        with (
            connect("127.0.0.1:9") as client,
            pytest.raises(ServingError, match="Check that a server runs there") as caught,
        ):
            client.status("taxi")
        assert caught.value.code == "UNAVAILABLE"

    def test_deadline(self, client, server):
        server.answers["Predict"] = model_servers.slow(1.0, server.Predict)
        with pytest.raises(ServingError, match=r"Allow more time \(timeout_seconds\)") as caught:
            client.predict("taxi", {"x": np.ones(1)}, timeout_seconds=0.1)

        assert caught.value.code == "DEADLINE_EXCEEDED"
        assert server.calls("Predict") == 1

    def test_what_is_safe_is_repeated_while_unavailable(self, client, server):
        unavailable = grpc.StatusCode.UNAVAILABLE
        server.answers["GetModelStatus"] = model_servers.fail_times(2, unavailable, server.GetModelStatus)
        assert client.status("taxi")
        assert server.calls("GetModelStatus") == 3

        reload = server.HandleReloadConfigRequest
        server.answers["HandleReloadConfigRequest"] = model_servers.fail_times(1, unavailable, reload)
        with pytest.raises(ServingError):
            client.reload_config(model_config.make_config())
        assert server.calls("HandleReloadConfigRequest") == 1

    def test_what_the_server_refuses_is_not_repeated(self, client, server):
        server.answers["Predict"] = model_servers.fail_times(1, grpc.StatusCode.RESOURCE_EXHAUSTED, server.Predict)
        with pytest.raises(ServingError, match="Send fewer rows"):
            client.predict("taxi", {"x": np.ones(1)})
        assert server.calls("Predict") == 1

    @pytest.mark.parametrize("answer", [b"\xff\xff\xff", b"\x0a\x7f", b"\x0a\x04\x0a\x01y\x12"])
    def test_an_answer_that_is_garbage(self, connect, answer):
        handler = grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)
        server = grpc.server(futures.ThreadPoolExecutor(1))
        service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": handler})
        server.add_generic_rpc_handlers((service,))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            with connect(f"127.0.0.1:{port}") as client, pytest.raises(ServingError) as caught:
                client.predict("taxi", {"x": np.ones(1)})
        finally:
            server.stop(0).wait()

        assert caught.value.code in ("INTERNAL", "DATA_LOSS")

    def test_headers(self, server, connect):
        with connect(server.address, metadata={"Authorization": "Bearer x"}) as client:
            client.status("taxi")
        assert server.headers["authorization"] == "Bearer x"

    def test_unix_socket(self, tmp_path, connect):
        with model_servers.serve(f"unix:{tmp_path}/s") as served, connect(served.address) as client:
            assert client.status("taxi")[0].version == 2

    def test_a_web_server_is_no_model_server(self, connect):
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
            refused = pytest.raises(ServingError, match="by default 8500 for gRPC, 8501 for REST")
            with connect(address, timeout_seconds=5) as client, refused:
                client.status("taxi")
            listener.shutdown(socket.SHUT_RDWR)

    def test_closed(self, server, connect):
        client = connect(server.address)
        client.close()
        with pytest.raises(ServingError, match="client should be open"):
            client.status("taxi")
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
        ("address", "message"),
        [
            ("http://localhost:8501", "Leave the scheme out; the port is 8500"),
            ("", "should be host:port"),
            (":8500", "should be host:port"),
            ("host:port", "port should be a number"),
            ("host:70000", "port should be a number from 1 to 65535"),
        ],
    )
    def test_addresses_that_are_none(self, address, message):
        with pytest.raises(InputError, match=message):
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
        with pytest.raises(InputError, match=r"header"):
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

    def test_both_sides_show_certificates(self, tls_server, certificate, connect):
        cert = certificate / "cert.pem"
        tls = Tls(cert, cert, certificate / "key.pem", server_name="model.test")
        with connect(tls_server.address, tls=tls) as client:
            assert client.status("taxi")[0].version == 2

    @pytest.mark.parametrize("tls", [True, False])
    def test_a_server_that_is_not_trusted(self, tls_server, connect, tls):
        refused = pytest.raises(ServingError, match="and TLS")
        with connect(tls_server.address, tls=tls, timeout_seconds=5) as client, refused:
            client.status("taxi")

    def test_files_that_are_not_there(self, tmp_path):
        with pytest.raises(InputError, match=r"ca_file should be a file in PEM format. .*No such file"):
            Client("localhost", tls=Tls(tmp_path / "none.pem"))
        with pytest.raises(InputError, match="needs its key"):
            Client("localhost", tls=Tls(certificate_file=tmp_path / "none.pem"))


def test_import_loads_neither_tensorflow_nor_pandas():
    script = (
        "import sys; from tiffin.serving import Client\n"
        "print([name for name in ('tensorflow', 'pandas', 'google.cloud.storage', 'requests', 'ml_dtypes', 'kfp')"
        " if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
