"""The metrics and their page."""

import re

import pytest

PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def server(launch, saved_models, tmp_path_factory):
    monitoring = tmp_path_factory.mktemp("metrics") / "monitoring"
    monitoring.write_text("prometheus_config { enable: true }")
    flags = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    return launch(*flags, f"--monitoring_config_file={monitoring}", rest=True).wait()


def metric(server, name, **labels):
    page = server.rest(PAGE)[1]
    shown = ",".join(f'{label}="{value}"' for label, value in labels.items())
    found = re.search(rf"^:tensorflow:serving:{name}{{{re.escape(shown)}}} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_metrics(server, predict, fails):
    counted = {"model_name": "score", "status": "OK"}
    before = metric(server, "request_count", **counted)
    for _ in range(20):
        predict(server)
    server.rest("/v1/models/score:predict", {"instances": [[1, 1, 1]]})
    assert metric(server, "request_count", **counted) == before + 21
    wrong = {"model_name": "score", "status": "FAILED_PRECONDITION"}
    before = metric(server, "request_count", **wrong)
    fails(
        "FAILED_PRECONDITION",
        'Serving signature key "s" not found.',
        lambda: predict(server, signature="s"),
    )
    assert metric(server, "request_count", **wrong) == before + 1
    grpc_latency = {"model_name": "score", "API": "Predict", "entrypoint": "GRPC"}
    assert metric(server, "request_latency_count", **grpc_latency) >= 20
    rest_latency = {"model_name": "score", "API": "predict", "entrypoint": "REST"}
    assert metric(server, "request_latency_count", **rest_latency) >= 1
    assert metric(server, "runtime_latency_sum", model_name="score", API="Predict", runtime="TF1") > 0


def test_the_metrics_page(server, predict):
    predict(server)
    page = server.rest(PAGE)[1]
    assert "# TYPE :tensorflow:serving:request_count counter\n" in page
    assert "# TYPE :tensorflow:serving:request_latency histogram\n" in page
    pattern = ':tensorflow:serving:request_latency_bucket{model_name="score",API="Predict",entrypoint="GRPC",le="'
    limits = [line[len(pattern) :].split('"')[0] for line in page.splitlines() if line.startswith(pattern)]
    assert (len(limits), limits[:3], limits[-1]) == (34, ["10", "18", "32.4"], "+Inf")
    for name in ("model_warmup_latency", "request_example_counts", "batching_session:queuing_latency"):
        assert f"# TYPE :tensorflow:serving:{name} histogram" in page
    assert "version" not in page.replace("model_path", "")


def test_metrics_are_disabled_by_default(launch, saved_models):
    flags = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    assert launch(*flags, rest=True).wait().rest(PAGE)[0] == 404


def test_metrics_at_another_path(launch, saved_models, tmp_path):
    (tmp_path / "monitoring").write_text('prometheus_config { enable: true path: "/metrics" }')
    flags = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    server = launch(*flags, f"--monitoring_config_file={tmp_path / 'monitoring'}", rest=True).wait()
    assert server.rest("/metrics")[0] == 200
