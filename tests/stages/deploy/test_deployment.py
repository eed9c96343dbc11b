"""Deployments to a model server in a separate process."""

import math
import re
import shutil
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from support.server_process import Server
from support.written import table, write_examples
from tiffin import storage
from tiffin.artifacts.deployment import read_deployment
from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import read_training, saved_model, write_training
from tiffin.errors import Conflict, InputError, ServingError
from tiffin.governance.merging import find_stale
from tiffin.governance.promotion import promoting
from tiffin.serving import Client, model_config
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import ServedModel
from tiffin.stages.deploy.deployment import deploy

NAME = "deliveries"


@pytest.fixture
def unused_address():
    """An address that no server listens on, reserved for the test."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(scope="module")
def server(tmp_path_factory, nursery):
    """Serving root and address of a server that polls the model's configuration."""
    root = tmp_path_factory.mktemp("serving")
    config = root / NAME / "stable.config"
    config.parent.mkdir()
    config.write_text("model_config_list {}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [
        f"--port={port}",
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=1",
        "--poll_wait_millis=200",
        "--max_num_load_retries=0",
    ]
    process = Server(nursery, port, 0, root / "log", flags).wait()
    yield str(root), process.address
    process.stop()


def config_of(*versions, root="/root"):
    entry = model_config.make_model(NAME, f"{root}/{NAME}/versions", versions)
    return model_config.format_config(model_config.make_config([entry]))


def history(root):
    return read_history(ServedModel(str(root), NAME))


def actions(root):
    return [(record.action, record.version) for record in history(root).records]


def changes(root):
    """Return the changes of the stable config."""
    return [(record.config.before, record.config.after) for record in history(root).records if record.config]


def left(root):
    """Return the files of the models in a serving root, without locks and history; those of all models say the same."""
    assert find_stale(str(root)) == []
    files = [path.relative_to(root) for path in root.rglob("*") if path.is_file() and path.name != ".lock"]
    return sorted(str(path) for path in files if "history" not in path.parts and len(path.parts) > 1)


class TestServed:
    """The tests of this class share one server and depend on their order."""

    @pytest.fixture
    def deployed(self, server, models, tmp_path):
        root, address = server

        def run(version, **options):
            given = {"serving_root": root, "address": address, "deadline_seconds": 60, "why": "a test", **options}
            return deploy(models.binary.model, models.binary.examples, tmp_path / "out", NAME, version, **given)

        run.model = models.binary.model
        return run

    def test_a_version_is_served(self, deployed, server, tmp_path):
        root, address = server
        found = deployed(1, rollout="shadow")

        assert found == read_deployment(tmp_path / "out")
        assert (found.model, found.version, found.address, found.rollout) == (NAME, 1, address, "")
        assert [note.code for note in found.notes] == ["NO_ROLLOUT"], (
            "there is nothing to compare the first version with"
        )
        assert 0 < found.answer["probability"] < 1
        assert storage.read_text(f"{root}/{NAME}/stable.config") == config_of(1, root=root)
        with Client(address) as client:
            answer = client.predict(NAME, {"km": [9.5, None], "items": [2, 3], "kitchen": ["thai", None]})
        assert answer["probability"].shape == (2,)

    def test_warm_up_requests_call_every_signature_with_sample_rows(self, server, models):
        root, _ = server
        folder = Path(root, NAME, "versions", "1")
        records = tf.data.TFRecordDataset(str(folder / "assets.extra" / "tf_serving_warmup_requests"))
        logs = [prediction_log_pb2.PredictionLog.FromString(record.numpy()) for record in records]
        asked = Counter()
        for log in logs:
            kind = log.WhichOneof("log_type")
            asked[kind, getattr(log, kind).request.model_spec.signature_name or "serving_default"] += 1
        first = read_sample_rows(models.binary.examples)[0]

        # 16 requests of one row and 16 of 64 rows.
        assert asked == {
            ("predict_log", "serving_default"): 32,
            ("predict_log", "explain"): 32,
            ("predict_log", "examples"): 32,
            ("classify_log", "examples"): 32,
        }
        assert tf.make_ndarray(logs[0].predict_log.request.inputs["items"]).tolist() == [first["items"]]
        log = Path(root, "log").read_text()
        assert f"Starting to read warmup data for model at {folder}" in log
        assert "Number of warmup records read: 128." in log

    def test_the_next_version_replaces_it(self, deployed, server):
        root, address = server
        deployed(2)

        with Client(address) as client:
            states = {status.version: status.state for status in client.status(NAME)}
        assert states[2] == "AVAILABLE"
        assert storage.read_text(f"{root}/{NAME}/stable.config") == config_of(1, 2, root=root)

    def test_the_history_records_person_reason_and_configurations(self, deployed, server):
        deployed(3, requested_by="ada", run="run-3")
        root = Path(server[0])
        newest = history(root).newest

        assert {record.author.why for record in history(root).records} == {"a test"}
        assert (newest.author.who, newest.author.run, newest.verdict) == ("ada", "run-3", "")
        assert actions(root)[-3:] == [("candidate", 3), ("promote", 3), ("confirm", 3)]
        assert changes(root)[-1] == (config_of(1, 2, root=root), config_of(2, 3, root=root))
        assert history(root).candidacy(3).lineage.data_version == read_training(deployed.model).data_version

    def test_the_same_version_again_changes_nothing(self, deployed, server):
        root, _ = server
        before = storage.read(f"{root}/{NAME}/stable.config")
        deployed(3)

        assert storage.read(f"{root}/{NAME}/stable.config") == before
        assert len(history(root).records) == 9

    def test_an_older_version_is_refused(self, deployed, server, tmp_path):
        root = Path(server[0])
        before = left(root)
        with pytest.raises(Conflict, match=rf"2 .*'{NAME}'.* 3 .*stable\.config.*replace_newer"):
            deployed(2)

        assert (root / NAME / "stable.config").read_text() == config_of(2, 3, root=root)
        assert left(root) == before
        assert not (tmp_path / "out").exists()

    def test_replace_newer_deploys_an_older_version(self, deployed, server):
        root = Path(server[0])
        deployed(2, replace_newer=True)
        deployed(3)

        # Of the versions before it, a server keeps only lower ones: it answers with the highest.
        two, three = config_of(2, root=root), config_of(2, 3, root=root)
        assert changes(root)[-2:] == [(three, two), (two, three)]

    def test_a_version_that_is_rolled_out_only_becomes_the_candidate(self, deployed, server, tmp_path):
        root = Path(server[0])
        before = changes(root)
        found = deployed(9, rollout="canary", run="run-9")

        assert found == read_deployment(tmp_path / "out")
        assert (found.address, found.answer, found.waits_for, found.rollout, found.notes) == ("", {}, "", "canary", ())
        assert changes(root) == before
        assert (history(root).standing.champion, history(root).standing.candidate) == (3, 9)
        assert deployed(9, rollout="canary", run="run-9") == found
        shutil.rmtree(root / NAME / "versions" / "9")

    def test_a_deployment_whose_artifact_cannot_be_written_is_rolled_back(self, deployed, server, tmp_path):
        root = Path(server[0])
        before, recorded = left(root), changes(root)
        (tmp_path / "out").write_bytes(b"")
        with pytest.raises(OSError, match=re.escape(str(tmp_path / "out"))):
            deployed(4)

        three, four = config_of(2, 3, root=root), config_of(3, 4, root=root)
        assert (root / NAME / "stable.config").read_text() == three
        assert left(root) == before
        assert changes(root)[len(recorded) :] == [(three, four), (four, three)]
        assert str(tmp_path / "out") in history(root).newest.author.why

    def test_a_version_that_contains_another_model_is_refused(self, deployed, server, models, tmp_path):
        root, _ = server
        before = storage.read(f"{root}/{NAME}/stable.config")
        with pytest.raises(Conflict, match=r"/versions/1'"):
            deploy(
                models.multiclass.model,
                models.multiclass.examples,
                tmp_path / "other",
                NAME,
                1,
                serving_root=root,
                address=server[1],
                replace_newer=True,
            )

        assert storage.read(f"{root}/{NAME}/stable.config") == before
        assert storage.exists(f"{root}/{NAME}/versions/1/saved_model.pb")
        assert not (tmp_path / "other").exists()

    def test_a_model_that_predicts_nan_is_not_deployed(self, deployed, server, models, tmp_path):
        root, address = server
        before = storage.read(f"{root}/{NAME}/stable.config")
        with pytest.raises(ServingError, match=rf"probability=nan .*{NAME}.* 9 .*{address}") as raised:
            deploy(
                broken(models.binary.model, tmp_path / "nan"), models.binary.examples, tmp_path / "out", NAME, 9,
                serving_root=root, address=address, deadline_seconds=60,
            )  # fmt: skip

        assert raised.value.code == "DATA_LOSS"
        assert storage.read(f"{root}/{NAME}/stable.config")[0] == before[0]
        assert not storage.exists(f"{root}/{NAME}/versions/9")
        assert not (tmp_path / "out").exists()

    def test_a_model_that_cannot_be_loaded_is_not_deployed(self, server, models, tmp_path):
        root, address = server
        before = storage.read(f"{root}/{NAME}/stable.config")
        shutil.copytree(models.binary.model, tmp_path / "torn")
        for part in (saved_model(tmp_path / "torn") / "variables").iterdir():
            part.write_bytes(b"torn")
        with pytest.raises(ServingError, match=rf"10 .*'{NAME}'") as raised:
            deploy(
                tmp_path / "torn", models.binary.examples, tmp_path / "out", NAME, 10, serving_root=root, address=address,
                deadline_seconds=15,
            )  # fmt: skip

        assert raised.value.code == "FAILED_PRECONDITION"
        assert storage.read(f"{root}/{NAME}/stable.config")[0] == before[0]
        assert not storage.exists(f"{root}/{NAME}/versions/10")

    def test_the_previous_version_stays_in_service(self, server):
        with Client(server[1]) as client:
            client.wait_until_available(NAME, 3, timeout_seconds=30)
            assert client.predict(NAME, {"km": [1.0], "items": [2], "kitchen": ["thai"]})["probability"].shape == (1,)

    def test_the_answer_of_several_classes_is_recorded(self, server, models, tmp_path):
        root, address = server
        model, examples = models.multiclass.model, models.multiclass.examples
        found = deploy(
            model, examples, tmp_path / "out", NAME, 11, serving_root=root, address=address, deadline_seconds=60
        )

        assert found == read_deployment(tmp_path / "out")
        assert found.answer["classes"] == ["fair", "fast", "slow"]
        assert sum(found.answer["probabilities"]) == pytest.approx(1)


def broken(model, folder):
    """Return a model artifact with the inputs of `model` that predicts NaN."""

    class Broken(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None], tf.float32, name="km"),
                tf.TensorSpec([None], tf.float64, name="items"),
                tf.TensorSpec([None], tf.string, name="kitchen"),
            ]
        )
        def serve(self, km, items, kitchen):
            return {
                "probability": tf.cast(items, tf.float32) * 0 + km * 0 + float("nan") + tf.zeros_like(km, tf.float32)
            }

    module = Broken()
    signatures = dict.fromkeys(("serving_default", "explain", "examples"), module.serve)
    tf.saved_model.save(module, str(saved_model(folder)), signatures=signatures)
    write_training(folder, read_training(model))
    return folder


def test_a_first_deployment_without_a_server_is_rolled_back(models, tmp_path, unused_address):
    given = models.binary
    with pytest.raises(ServingError, match=rf"{NAME}.*{unused_address}|{unused_address}.*{NAME}") as raised:
        deploy(
            given.model, given.examples, tmp_path / "out", NAME, 1, serving_root=str(tmp_path / "root"), address=unused_address,
            deadline_seconds=1.0,
        )  # fmt: skip

    assert raised.value.code == "DEADLINE_EXCEEDED"
    assert left(tmp_path / "root") == []
    assert not (tmp_path / "out").exists()
    new = config_of(1, root=tmp_path / "root")
    assert changes(tmp_path / "root") == [(None, new), (new, None)]
    assert actions(tmp_path / "root") == [("candidate", 1), ("promote", 1), ("restore", 1)]
    assert history(tmp_path / "root").standing.candidate is None


class TestConcurrent:
    """Deployments to an address without a server, which wait until their deadline unless they are replaced."""

    def test_a_version_that_is_replaced_ends_at_once(self, models, tmp_path, unused_address):
        root = tmp_path / "root"
        served = ServedModel(str(root), NAME)
        given = models.binary

        def overtake():
            while served.read("stable.config") is None:
                time.sleep(0.02)
            served.publish(saved_model(given.model), 2)
            with promoting(served, 2, Author("bob", "run-17"), new=True):
                pass

        other = threading.Thread(target=overtake)
        other.start()
        # Without a look at the configuration, this would exceed the time limit of the test.
        with pytest.raises(Conflict, match=rf"1 .*'{NAME}'.* 2 \(run-17,.*stable\.config'"):
            deploy(
                given.model, given.examples, tmp_path / "out", NAME, 1, serving_root=str(root), address=unused_address,
                deadline_seconds=3600,
            )  # fmt: skip
        other.join()

        assert (root / NAME / "stable.config").read_text() == config_of(2, root=root)
        assert not (root / NAME / "versions" / "1").exists()
        assert not (tmp_path / "out").exists()

    def test_the_newer_version_that_refuses_an_older_one_is_named(self, models, tmp_path, unused_address):
        served = ServedModel(str(tmp_path / "root"), NAME)
        served.publish(saved_model(models.binary.model), 7)
        with promoting(served, 7, Author("bob", "run-17")):
            pass
        with pytest.raises(Conflict, match=rf"1 .*'{NAME}'.* 7 \(run-17, "):
            deploy(
                models.binary.model, models.binary.examples, tmp_path / "out", NAME, 1,
                serving_root=str(tmp_path / "root"), address=unused_address,
            )  # fmt: skip


class TestBadInput:
    def test_an_invalid_saved_model(self, given, models, tmp_path):
        shutil.copytree(models.binary.model, tmp_path / "torn")
        (saved_model(tmp_path / "torn") / "saved_model.pb").write_bytes(b"torn")
        with pytest.raises(InputError, match=r"saved_model\.pb'"):
            deploy(**{**given, "model": tmp_path / "torn"})

        assert left(tmp_path / "root") == []

    @pytest.fixture
    def given(self, models, tmp_path, unused_address):
        places = {"model": models.binary.model, "examples": models.binary.examples, "output": tmp_path / "out"}
        return {
            **places,
            "name": NAME,
            "version": 1,
            "serving_root": str(tmp_path / "root"),
            "address": unused_address,
            "deadline_seconds": 1.0,
        }

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"serving_root": ""}, r"serving_root=''.*TIFFIN_SERVING_ROOT"),
            ({"serving_root": "s3://bucket/root"}, r"^serving_root .*'s3://bucket/root'"),
            ({"address": ""}, r"serving_address=''.*TIFFIN_SERVING_ADDRESS"),
            ({"version": 0}, r"version=0\."),
            ({"approval": "two_eyes"}, r"^approval .*'two_eyes'"),
            ({"keep_previous": 11}, r"keep_previous=11\."),
            ({"requested_by": "a\nb"}, r"^requested_by "),
            ({"watch": "soon"}, r"watch='soon'\."),
            ({"max_error_share": 1.0}, r"max_error_share .*1\.0"),
            ({"deadline_seconds": 0}, r"deadline_seconds=0\."),
            ({"deadline_seconds": math.inf}, r"deadline_seconds=inf\."),
            ({"deadline_seconds": math.nan}, r"deadline_seconds=nan\."),
            ({"name": "../x"}, r"/root'.*'\.\./x'"),
            ({"name": ""}, r"/root'.*: ''\."),
        ],
    )
    def test_an_invalid_parameter(self, given, tmp_path, changed, message):
        with pytest.raises(InputError, match=message):
            deploy(**{**given, **changed})

        assert not (tmp_path / "root").exists()

    def test_a_model_without_a_saved_model(self, given, tmp_path):
        write_training(tmp_path / "empty", read_training(given["model"]))
        with pytest.raises(InputError, match=r"saved_model\.pb'.*/empty'"):
            deploy(**{**given, "model": tmp_path / "empty"})

        assert left(tmp_path / "root") == []

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            (table(km=[]), r"/examples/"),
            (table(km=[1.0]), r"/examples'.* items, kitchen\."),
        ],
    )
    def test_examples_without_a_usable_sample_row(self, given, tmp_path, rows, message):
        write_examples(tmp_path / "examples", {"eval": rows})
        with pytest.raises(InputError, match=message):
            deploy(**{**given, "examples": tmp_path / "examples"})

        assert not (tmp_path / "root").exists()
