"""GetModelMetadata, GetModelStatus, HandleReloadConfigRequest, and labels."""

import threading

import grpc
import pytest
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

AVAILABLE, END = 30, 50
BOTH = "model_version_policy { specific { versions: 1 versions: 2 } }"


@pytest.fixture(scope="module")
def server(launch, saved_models):
    flags = ["--max_num_load_retries=0", "--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    return launch(*flags).wait()


@pytest.fixture
def fresh(launch, tmp_path):
    """A server without models, which opens its port immediately."""
    config = tmp_path / "empty"
    config.write_text("model_config_list {}")
    return launch("--max_num_load_retries=0", f"--model_config_file={config}").wait()


def metadata(server, *fields, model="score", **spec):
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=fields)
    if model is not None:
        request.model_spec.name = model
    for name, value in spec.items():
        setattr(request.model_spec, name, value)
    return server.call("GetModelMetadata", request, get_model_metadata_pb2.GetModelMetadataResponse)


def status(server, model="score", version=None, label=""):
    request = get_model_status_pb2.GetModelStatusRequest()
    if model is not None:
        request.model_spec.name = model
    if version is not None:
        request.model_spec.version.value = version
    if label:
        request.model_spec.version_label = label
    return server.call("GetModelStatus", request, get_model_status_pb2.GetModelStatusResponse)


def test_metadata(server):
    response = metadata(server, "signature_def", signature_name="two")
    assert (response.model_spec.name, response.model_spec.version.value) == ("score", 3)
    assert response.model_spec.signature_name == ""
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    assert {"serving_default", "two", "defaults"} <= set(signatures.signature_def)
    assert signatures.signature_def["serving_default"].inputs["x"].tensor_shape.dim[1].size == 3


def test_metadata_errors(server, fails):
    text = "GetModelMetadataRequest must specify at least one metadata_field"
    fails("INVALID_ARGUMENT", text, lambda: metadata(server))
    fails("INVALID_ARGUMENT", "Metadata field f is not supported", lambda: metadata(server, "f"))
    fails("INVALID_ARGUMENT", "Missing ModelSpec", lambda: metadata(server, "signature_def", model=None))
    fails(
        "NOT_FOUND", "Servable not found for request: Latest(m)", lambda: metadata(server, "signature_def", model="m")
    )


def test_status(server, fails):
    (one,) = status(server).model_version_status
    assert (one.version, one.state, one.status.error_code, one.status.error_message) == (3, AVAILABLE, 0, "")
    assert status(server, version=3).model_version_status[0].version == 3
    assert status(server, label="no such label").model_version_status[0].version == 3, "labels are ignored"
    fails("NOT_FOUND", "Could not find any versions of model m", lambda: status(server, "m"))
    fails("NOT_FOUND", "Could not find version 7 of model score", lambda: status(server, version=7))
    fails("INVALID_ARGUMENT", "Missing ModelSpec", lambda: status(server, None))


def test_reload_loads_unloads_and_returns_when_done(fresh, saved_models, reload, states, predict, eventually):
    path = saved_models / "score"
    response = reload(fresh, ("score", path, BOTH), metrics=("/tensorflow/cc/saved_model/load_attempt_count", "/no"))
    assert (response.status.error_code, response.status.error_message) == (0, "")
    assert {metric.name: metric.int64_value_increase for metric in response.metric}["/no"] == 0
    assert response.metric[0].int64_value_increase in (1, 2)
    assert 2 in states(fresh), "reload returns when the first version is available"
    eventually(lambda: states(fresh) == {2: AVAILABLE, 1: AVAILABLE})
    assert list(states(fresh)) == [2, 1], "newest first"
    reload(fresh, ("score", path, "model_version_policy { specific { versions: 1 } }"))
    eventually(lambda: states(fresh) == {2: END, 1: AVAILABLE})
    assert predict(fresh)["y"].tolist() == [[7.0]]
    reload(fresh, ("other", path, ""))
    assert predict(fresh, "other")["y"].tolist() == [[9.0]]
    eventually(lambda: states(fresh) == {2: END, 1: END})


def test_reload_with_a_model_that_fails_to_load(fresh, saved_models, reload, states, predict):
    reload(fresh, ("score", saved_models / "score", ""))
    with pytest.raises(grpc.RpcError) as caught:
        reload(fresh, ("score", saved_models / "score", ""), ("bad", saved_models / "broken", ""))
    assert caught.value.code() == grpc.StatusCode.UNKNOWN
    assert caught.value.details().startswith(
        "1 model(s) did not become available: {{{name: bad version: 1} due to error: "
    )
    assert caught.value.details().endswith("}, }")
    assert states(fresh, "bad") == {1: END}
    assert predict(fresh)["y"].tolist() == [[9.0]]
    entry = status(fresh, "bad").model_version_status[0].status
    assert entry.error_code
    assert "saved_model.pb" in entry.error_message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "",
            "ServerModelConfig type not supported by HandleReloadConfigRequest. Only ModelConfigList is currently supported",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/a" model_platform: "tensorflow" } '
            'config { name: "m" base_path: "/b" model_platform: "tensorflow" } }',
            "Illegal to list model m multiple times in config list",
        ),
        (
            'model_config_list { config { name: "m" base_path: "p" model_platform: "tensorflow" } }',
            "Expected model m to have an absolute path or URI; got base_path()=p",
        ),
        (
            'model_config_list { config { name: "score" base_path: "/p" model_platform: "other" } }',
            "Illegal to change a model's platform. For model score platform was tensorflow and new platform requested "
            "is other",
        ),
        (
            'model_config_list { config { name: "m" base_path: "/p" } }',
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            "ModelServerConfig::model_platform, model name is m",
        ),
    ],
)
def test_reload_errors(server, reload, fails, states, text, message):
    fails("INVALID_ARGUMENT", message, lambda: reload(server, text or "custom_model_config {}"))
    assert states(server)[3] == AVAILABLE


def test_reloads_are_not_allowed_by_default(launch, saved_models, reload, states, predict, tmp_path):
    """Whatever the request says; the configuration file, which only the server's user can write, still works."""
    server = launch(
        "--model_name=score", f"--model_base_path={saved_models / 'score'}", "--allow_reload_config=false"
    ).wait()
    for models in ((("score", tmp_path, ""),), ("custom_model_config {}",), ("",), (("own", tmp_path, ""),)):
        with pytest.raises(grpc.RpcError, match="--allow_reload_config") as caught:
            reload(server, *models)
        assert caught.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert states(server, "own") == {}
    assert predict(server)["y"].tolist() == [[9.0]]


def test_request_logging_is_not_supported(fresh, saved_models, reload, fails):
    logged = ("score", saved_models / "score", "logging_config { sampling_config { sampling_rate: 1 } }")
    fails("INVALID_ARGUMENT", "No request-logger-creator provided.", lambda: reload(fresh, logged))


def test_other_models_serve_while_a_reload_waits(fresh, saved_models, reload, predict, tmp_path, states):
    reload(fresh, ("score", saved_models / "score", ""))
    new = ("new", tmp_path / "new", "")
    (tmp_path / "new").mkdir()
    ended = threading.Event()

    def wait():
        reload(fresh, ("score", saved_models / "score", ""), new)
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    assert not ended.wait(1), "reload waits for a model without a version"
    assert predict(fresh)["y"].tolist() == [[9.0]]
    (tmp_path / "new" / "1").symlink_to(saved_models / "score" / "1")
    thread.join(90)
    assert ended.is_set()
    assert predict(fresh, "new")["y"].tolist() == [[7.0]]


def label(name, version):
    return f'version_labels {{ key: "{name}" value: {version} }}'


def test_labels(fresh, saved_models, reload, fails, predict, eventually, states):
    """Moving a label takes two reloads: with both versions and the label on the new one, then without the old one."""
    path = saved_models / "score"
    text = "Request to assign label to version {} of model score, which is not currently available for inference"
    first = ("score", path, "model_version_policy { specific { versions: 1 } }" + label("stable", 1))
    fails("FAILED_PRECONDITION", text.format(1), lambda: reload(fresh, first))
    assert states(fresh) == {}, "labels are checked before models load"
    reload(fresh, ("score", path, "model_version_policy { specific { versions: 1 } }"))
    reload(fresh, first)
    assert predict(fresh, label="stable")["y"].tolist() == [[7.0]]
    moved = ("score", path, BOTH + label("stable", 2))
    fails("FAILED_PRECONDITION", text.format(2), lambda: reload(fresh, moved))
    reload(fresh, ("score", path, BOTH + label("stable", 1)))
    eventually(lambda: states(fresh).get(2) == AVAILABLE)
    reload(fresh, moved)
    assert predict(fresh, label="stable")["y"].tolist() == [[8.0]]
    reload(fresh, ("score", path, "model_version_policy { specific { versions: 2 } }" + label("stable", 2)))
    eventually(lambda: states(fresh)[1] == END)
    assert predict(fresh, label="stable")["y"].tolist() == [[8.0]]
    text = "Unrecognized servable version label: stable"
    reload(fresh, ("score", path, "model_version_policy { specific { versions: 2 } }"))
    fails("INVALID_ARGUMENT", text, lambda: predict(fresh, label="stable"))


def test_labels_of_unavailable_versions(launch, tmp_path, saved_models, reload, fails, write_config, predict):
    """With the flag, only a new or unchanged label may point at an unavailable version."""
    config = tmp_path / "config"
    path = saved_models / "score"
    config.write_text(write_config(("score", path, BOTH + label("stable", 1))))
    server = launch("--allow_version_labels_for_unavailable_models", f"--model_config_file={config}").wait()
    reload(server, ("score", path, BOTH + label("stable", 1) + label("canary", 7)))
    reload(server, ("score", path, BOTH + label("stable", 1) + label("canary", 7)))
    fails("NOT_FOUND", "Servable not found for request: Specific(score, 7)", lambda: predict(server, label="canary"))
    text = "Request to assign label to version 9 of model score, which is not currently available for inference"
    moved = ("score", path, BOTH + label("stable", 9))
    fails("FAILED_PRECONDITION", text, lambda: reload(server, moved))
    assert predict(server, label="stable")["y"].tolist() == [[7.0]]
