"""The aliases in MLflow: on a database, and on real servers whose webhooks fire."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support import serving_roots
from support.mlflow_server import mlflow_server, proxy
from support.postgres import postgres
from support.serving_roots import ADA, BOB, put, wait
from support.waiting import until
from tiffin.errors import InputError, StorageError
from tiffin.governance import aliases
from tiffin.governance.aliases import follow, is_behind, read_cursor
from tiffin.governance.promotion import roll_back
from tiffin.governance.verification import verify_aliases
from tiffin.rollout import course
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel
from tiffin.stages.traits import database_uri

# Sets up MLflow before the first import of it.
from tiffin.tracking.client import client_of

# isort: split
from mlflow import MlflowClient

from tiffin.tracking import faults

RUNS_IN = ("model",)
# MLflow's own code, on the newest SQLAlchemy.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")
NAME = "taxi"


@pytest.fixture
def taxi(tmp_path):
    return ServedModel(str(tmp_path / "root"), NAME)


@pytest.fixture
def saved_model(tmp_path):
    return serving_roots.make_saved_model(tmp_path)


def register(client, *versions):
    """Register versions that have no files: only their aliases matter here."""
    client.create_registered_model(NAME)
    for version in versions:
        assert int(client.create_model_version(NAME, "s3://bucket/model").version) == version


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    """The URI of a SQLite database, which is made once."""
    uri = database_uri(tmp_path_factory.mktemp("mlflow") / "mlflow.db")
    with client_of(uri):
        pass
    return uri


@pytest.fixture
def client(database):
    """A client of a database with versions 1 to 3."""
    # Not client_of, which locks the database against others.
    client = MlflowClient(database)
    register(client, 1, 2, 3)
    yield client
    client.delete_registered_model(NAME)


def found(client):
    return {name: int(version) for name, version in client.get_registered_model(NAME).aliases.items()}


class TestFollow:
    def test_without_a_tracking_uri(self, taxi, monkeypatch):
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with pytest.raises(InputError, match="tracking_uri"):
            follow(taxi, "")

    def test_a_model_without_a_history_has_no_aliases(self, taxi, client, database):
        assert follow(taxi, database).aliases == {}
        assert found(client) == {}
        assert read_cursor(taxi) is None

    def test_the_aliases_follow_each_change(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 1, 2)
        wait(taxi, saved_model, 3, "required")
        made = follow(taxi, database)
        assert found(client) == {"champion": 2, "previous": 1, "candidate": 3}
        assert made.moved == {"champion": (None, 2), "previous": (None, 1), "candidate": (None, 3)}
        roll_back(taxi, BOB)
        assert is_behind(read_history(taxi), read_cursor(taxi))
        made = follow(taxi, database)

        assert found(client) == {"champion": 1, "candidate": 3}
        assert made.moved == {"champion": (2, 1), "previous": (1, None)}
        assert not is_behind(read_history(taxi), read_cursor(taxi))
        newest = read_history(taxi).entries[-1]
        assert client.get_registered_model(NAME).tags[aliases.TAG] == f"{newest.number}:{newest.digest}"

    def test_again_changes_nothing(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 1)
        follow(taxi, database)

        assert follow(taxi, database).moved == {}

    def test_an_alias_that_was_moved_by_hand_is_told_and_put_right(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 1, 2)
        follow(taxi, database)
        client.set_registered_model_alias(NAME, "champion", "3")
        client.delete_registered_model_alias(NAME, "previous")
        roll_back(taxi, BOB)
        made = follow(taxi, database)

        assert made.by_hand == {"champion": 3, "previous": None}
        assert found(client) == {"champion": 1}
        assert len(aliases.describe(NAME, made)) == 3

    def test_other_aliases_are_left_alone(self, taxi, saved_model, client, database):
        client.set_registered_model_alias(NAME, "mine", "3")
        put(taxi, saved_model, 1)
        follow(taxi, database)

        assert found(client) == {"champion": 1, "mine": 3}

    def test_a_version_that_mlflow_does_not_have(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 2, 9)
        made = follow(taxi, database)

        assert (made.absent, found(client)) == ((9,), {"previous": 2})
        # Nothing else can be done: the aliases are not behind, and a repair does not claim to have moved one.
        assert not is_behind(read_history(taxi), read_cursor(taxi))
        [finding] = verify_aliases(taxi, database, repair=True)
        assert (finding.code, finding.repaired) == ("ALIAS", "")

    def test_a_model_that_mlflow_does_not_have(self, tmp_path, saved_model, database):
        other = ServedModel(str(tmp_path / "root"), "bus")
        put(other, saved_model, 1)

        assert follow(other, database).absent == (1,)

    def test_a_change_meanwhile_is_followed_too(self, taxi, saved_model, client, database, monkeypatch):
        put(taxi, saved_model, 1, 2)
        write, waiting = aliases._write_cursor, [lambda: roll_back(taxi, BOB)]

        def late(*arguments):
            write(*arguments)
            if waiting:
                waiting.pop()()

        monkeypatch.setattr(aliases, "_write_cursor", late)
        follow(taxi, database)

        assert found(client) == {"champion": 1}

    def test_a_server_that_is_down(self, taxi, saved_model, monkeypatch):
        monkeypatch.setattr(faults, "WAITS", ())
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        put(taxi, saved_model, 1)
        with pytest.raises(StorageError, match=r"http://127\.0\.0\.1:9"):
            follow(taxi, "http://127.0.0.1:9")

        assert read_cursor(taxi) is None


class TestVerify:
    def codes(self, taxi, database, *, repair=False):
        return [finding.code for finding in verify_aliases(taxi, database, repair=repair)]

    def test_a_model_without_a_history(self, taxi, client, database):
        assert self.codes(taxi, database) == []

    def test_what_was_moved_by_hand_during_a_rollout_is_found_and_put_right_at_its_end(
        self, taxi, saved_model, client, database
    ):
        put(taxi, saved_model, 1)
        wait(taxi, saved_model, 2, "none")
        follow(taxi, database)
        rollout = course.start(taxi, 2, ADA, strategy="direct", steps=())
        client.set_registered_model_alias(NAME, "champion", "2")
        client.set_registered_model_alias(NAME, "candidate", "3")
        assert self.codes(taxi, database) == ["ALIAS", "ALIAS"]
        # What is served follows from the history.
        assert read_history(taxi).standing.served == 1
        course.abort(taxi, BOB)
        course.close(taxi, rollout.id)
        made = follow(taxi, database)

        assert made.by_hand == {"champion": 2, "candidate": 3}
        assert len(aliases.describe(NAME, made)) == 3
        assert found(client) == {"champion": 1}
        assert self.codes(taxi, database) == []

    def test_what_was_moved_by_hand_is_found_and_put_right(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 1, 2)
        follow(taxi, database)
        assert self.codes(taxi, database) == []
        client.set_registered_model_alias(NAME, "champion", "1")
        assert self.codes(taxi, database) == ["ALIAS"]
        [finding] = verify_aliases(taxi, database, repair=True)

        assert finding.repaired
        assert found(client) == {"champion": 2, "previous": 1}
        assert self.codes(taxi, database) == []

    def test_a_newest_record_that_was_removed_is_missed(self, taxi, saved_model, client, database):
        put(taxi, saved_model, 1, 2)
        follow(taxi, database)
        os.unlink(taxi.locate("history", "00000004.json"))
        assert "HISTORY_TAG" in self.codes(taxi, database)
        # The trace stays, and nothing is claimed to be repaired.
        client.set_registered_model_alias(NAME, "champion", "3")
        findings = verify_aliases(taxi, database, repair=True)
        assert [finding.repaired for finding in findings] == [""] * len(findings)
        assert found(client)["champion"] == 3
        assert "HISTORY_TAG" in self.codes(taxi, database)

    def test_a_server_that_is_down(self, taxi, saved_model, monkeypatch):
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        put(taxi, saved_model, 1)

        assert self.codes(taxi, "http://127.0.0.1:9") == ["NO_ANSWER"]


@pytest.fixture
def events():
    """The events that webhooks delivered, and the address for them."""
    received: list[tuple[str, str, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.append((body["entity"], body["action"], body["data"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield received, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_webhooks_of_a_server_fire(kind, taxi, saved_model, events, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOWED_SCHEMES", "http")
    monkeypatch.setenv("MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS", "true")
    received, hook = events
    if kind == "sqlite":
        with mlflow_server(tmp_path) as address:
            check_webhooks(taxi, saved_model, address, received, hook)
    else:
        with postgres() as database, mlflow_server(tmp_path, database.uri) as address:
            check_webhooks(taxi, saved_model, address, received, hook)


def check_webhooks(taxi, saved_model, address, received, hook):
    client = MlflowClient(address)
    register(client, 1, 2)
    client.create_webhook("test", hook, ["model_version_alias.created", "model_version_alias.deleted"])
    put(taxi, saved_model, 1, 2, author=ADA)
    # The answer to one request is lost: it is repeated.
    lost = []

    def fault(method, path):
        if method == "POST" and path.endswith("/alias") and not lost:
            lost.append(path)
            return "lose"
        return ""

    with proxy(address, fault) as unsure:
        follow(taxi, unsure)
    roll_back(taxi, BOB)
    follow(taxi, address)
    expected = [
        ("created", "champion", "2"), ("created", "previous", "1"), ("created", "champion", "1"),
        ("deleted", "previous", None),
    ]  # fmt: skip

    def delivered():
        return {(action, data["alias"], data.get("version")) for _, action, data in received}

    assert until(lambda: delivered() >= set(expected), 60), received
    assert delivered() == set(expected)
    assert lost
    assert found(client) == {"champion": 1}
    assert verify_aliases(taxi, address, repair=False) == []
