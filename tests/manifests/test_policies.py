"""Checks beyond the schemas: security, images, secrets, and references between resources."""

import functools
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from support.manifest_rendering import COMBINATIONS, ROOT, read_goldens
from support.pod_security import find_violations
from tiffin.serving.counters import check_url
from tiffin.version import __version__

WORKLOADS = ("Deployment", "StatefulSet", "Job")
PROJECT = (ROOT / "pyproject.toml").read_text()


@functools.cache
def load(text: str) -> dict[str, Any]:
    """Return a parsed resource. Most are shared by many combinations."""
    return dict(yaml.load(text, yaml.CSafeLoader))


class Cluster:
    """The resources of one combination, by kind."""

    def __init__(self, combination: tuple[str, tuple[str, ...]]) -> None:
        self.resources = [load(text) for text in read_goldens()[combination].values()]

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        return [resource for resource in self.resources if resource["kind"] in kinds]

    def names(self, *kinds: str) -> set[str]:
        return {resource["metadata"]["name"] for resource in self.of(*kinds)}

    def pods(self) -> dict[str, dict[str, Any]]:
        return {workload["metadata"]["name"]: workload["spec"]["template"] for workload in self.of(*WORKLOADS)}

    def matching(self, selector: dict[str, str]) -> list[dict[str, Any]]:
        return [pod for pod in self.pods().values() if selector.items() <= pod["metadata"]["labels"].items()]


@pytest.fixture(params=COMBINATIONS, ids=lambda combination: "+".join([combination[0], *combination[1]]))
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return Cluster(request.param)


def port_names(pod: dict[str, Any]) -> set[Any]:
    return {value for c in pod["spec"]["containers"] for p in c.get("ports", []) for value in p.values()}


def test_pods_follow_the_restricted_standard_and_more(cluster: Cluster) -> None:
    for name, pod in cluster.pods().items():
        spec = pod["spec"]
        assert find_violations(pod) == [], name
        assert not {"initContainers", "ephemeralContainers"} & spec.keys()
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["automountServiceAccountToken"] is False, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"], name
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys(), name
            assert "memory" in container["resources"]["limits"], name


def test_servers_have_probes(cluster: Cluster) -> None:
    for workload in cluster.of("Deployment", "StatefulSet"):
        for container in workload["spec"]["template"]["spec"]["containers"]:
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()


def test_a_rollout_fails_later_than_its_pods(cluster: Cluster) -> None:
    """A pod that starts slowly is restarted by its probe, and the rollout continues."""
    for workload in cluster.of("Deployment"):
        # Kubernetes' defaults.
        deadline = workload["spec"].get("progressDeadlineSeconds", 600)
        for container in workload["spec"]["template"]["spec"]["containers"]:
            probe = container["startupProbe"]
            seconds = probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe.get("failureThreshold", 3)
            assert deadline >= 1.5 * seconds, workload["metadata"]["name"]


# What KFP 2.17's drivers and launcher, and Argo 4.0's executor, request from the Kubernetes API in a run.
REQUESTS = {
    ("argoproj.io", "workflows", "get"),
    ("argoproj.io", "workflowtaskresults", "create"),
    ("argoproj.io", "workflowtaskresults", "patch"),
    ("", "pods", "get"),
    ("", "configmaps", "get"),
    ("", "secrets", "get"),
}


def test_the_account_of_runs_may_do_what_kubeflow_pipelines_does(cluster: Cluster) -> None:
    [role] = [one for one in cluster.of("Role") if one["metadata"]["name"] == "tiffin-pipeline"]
    allowed = {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }

    assert allowed >= REQUESTS
    assert {verb for _, resource, verb in allowed if resource == "workflows"} == {"get"}


def test_manifests_contain_no_secret(cluster: Cluster) -> None:
    assert not cluster.of("Secret")
    for pod in cluster.pods().values():
        for variable in (v for container in pod["spec"]["containers"] for v in container.get("env", [])):
            if re.search("PASSWORD|TOKEN|SECRET|KEY", variable["name"]):
                assert variable["valueFrom"].keys() == {"secretKeyRef"}, variable


def test_roles_have_no_wildcards(cluster: Cluster) -> None:
    assert not cluster.of("ClusterRole", "ClusterRoleBinding")
    for role in cluster.of("Role"):
        for rule in role["rules"]:
            assert "*" not in rule["verbs"] + rule["resources"] + rule["apiGroups"]
            if {"secrets", "configmaps"} & set(rule["resources"]):
                assert rule["resourceNames"]
                assert rule["verbs"] == ["get"]


def test_policies_deny_all_traffic_by_default(cluster: Cluster) -> None:
    closed = [
        policy["spec"]["podSelector"]["matchLabels"]
        for policy in cluster.of("NetworkPolicy")
        if policy["spec"].keys() == {"podSelector", "policyTypes"}
    ]
    assert closed == [{"app.kubernetes.io/part-of": "tiffin"}]
    assert len(cluster.matching(closed[0])) == len(cluster.pods())
    for policy in cluster.of("NetworkPolicy"):
        pods = cluster.matching(policy["spec"]["podSelector"]["matchLabels"])
        assert pods, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert all(port["port"] in port_names(pod) for pod in pods)


NAMESPACE = "here"
STEP = {"workflows.argoproj.io/workflow": "training-1"}
LABELLED = {"tiffin/grpc-client": "true"}


def selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    """Return whether a label selector matches, by Kubernetes' rules; an empty one matches everything."""
    expressions = selector.get("matchExpressions", [])
    assert {expression["operator"] for expression in expressions} <= {"Exists"}
    return selector.get("matchLabels", {}).items() <= labels.items() and all(e["key"] in labels for e in expressions)


def is_peer(peer: dict[str, Any], pod: dict[str, str], namespace: str) -> bool:
    """Return whether a pod with these labels, in this namespace, is a peer of a rule in the namespace of the policies."""
    assert peer.keys() <= {"podSelector", "namespaceSelector"}
    is_here = namespace == NAMESPACE
    if "namespaceSelector" in peer:
        is_here = selects(peer["namespaceSelector"], {"kubernetes.io/metadata.name": namespace})
    return is_here and selects(peer.get("podSelector", {}), pod)


def open_ports(cluster: Cluster, server: dict[str, Any], pod: dict[str, str], namespace: str = NAMESPACE) -> set[str]:
    """Return the ports of a server that a pod reaches. Policies add up: each selects pods and allows more traffic to them."""
    policies = [
        policy["spec"]
        for policy in cluster.of("NetworkPolicy")
        if "Ingress" in policy["spec"]["policyTypes"]
        and selects(policy["spec"]["podSelector"], server["metadata"]["labels"])
    ]
    ports = {port["name"] for container in server["spec"]["containers"] for port in container["ports"]}
    rules = [rule for policy in policies for rule in policy.get("ingress", [])]
    if not policies:
        return ports
    return {
        port["port"]
        for rule in rules
        if "from" not in rule or any(is_peer(peer, pod, namespace) for peer in rule["from"])
        for port in rule.get("ports", [{"port": name} for name in ports])
    }


def test_only_those_who_deploy_reach_the_grpc_port(cluster: Cluster) -> None:
    """TensorFlow Serving takes HandleReloadConfigRequest, which loads any SavedModel, on the port of predictions."""
    envoy = "tiffin-gateway" in cluster.names("Deployment")
    gateway = "tiffin-allow-gateway" in cluster.names("NetworkPolicy")
    for name in ("tiffin-stable", "tiffin-candidate"):
        server = cluster.pods()[name]
        assert port_names(server) >= {"grpc", 8500, "http", 8501}
        assert open_ports(cluster, server, STEP) == {"grpc", "http"}
        assert open_ports(cluster, server, LABELLED) == {"grpc", "http"}
        for labels in ({}, {"app": "web"}, {"tiffin/grpc-client": "false"}, server["metadata"]["labels"]):
            assert open_ports(cluster, server, labels) == {"http"}
        assert open_ports(cluster, server, {}, "monitoring") == {"http"}
        for labels in ({}, STEP, LABELLED):
            assert open_ports(cluster, server, labels, "elsewhere") == set()
            reached = open_ports(cluster, server, labels, "envoy-gateway-system")
            assert reached == ({"grpc"} if gateway else set())
        if envoy:
            labels = cluster.pods()["tiffin-gateway"]["metadata"]["labels"]
            assert open_ports(cluster, server, labels) == {"grpc", "http"}


def test_only_prometheus_reaches_the_metrics_page(cluster: Cluster) -> None:
    page = cluster.pods().get("tiffin-observability")
    if page is not None:
        assert open_ports(cluster, page, {}, "monitoring") == {"metrics"}
        for labels in ({}, STEP, LABELLED):
            assert open_ports(cluster, page, labels) == set()
            assert open_ports(cluster, page, labels, "elsewhere") == set()


def test_gateways_route_predictions_and_status_only(cluster: Cluster) -> None:
    for route in cluster.of("GRPCRoute"):
        matches = [match["method"] for rule in route["spec"]["rules"] for match in rule["matches"]]
        assert matches == [
            {"service": "tensorflow.serving.PredictionService"},
            {"service": "tensorflow.serving.ModelService", "method": "GetModelStatus"},
        ]
    for route in cluster.of("VirtualService"):
        matches = [match["uri"] for rule in route["spec"]["http"] for match in rule["match"]]
        assert matches == [
            {"prefix": "/tensorflow.serving.PredictionService/"},
            {"exact": "/tensorflow.serving.ModelService/GetModelStatus"},
        ]


def test_servers_follow_their_configuration_without_a_call(cluster: Cluster) -> None:
    for name in ("tiffin-stable", "tiffin-candidate"):
        arguments = cluster.pods()[name]["spec"]["containers"][0]["args"]
        assert any(re.fullmatch(r"--model_config_file=.+\.config", argument) for argument in arguments)
        assert "--model_config_file_poll_wait_seconds=10" in arguments


def test_every_pod_can_resolve_names(cluster: Cluster) -> None:
    """With kube-dns, with NodeLocal DNSCache, and on GKE with Cloud DNS."""
    reached: list[tuple[str, str, Any]] = []
    for policy in cluster.of("NetworkPolicy"):
        if len(cluster.matching(policy["spec"]["podSelector"]["matchLabels"])) < len(cluster.pods()):
            continue
        reached += [
            (peer.get("ipBlock", {}).get("cidr") or str(peer), port.get("protocol", "TCP"), port["port"])
            for rule in policy["spec"].get("egress", [])
            for peer in rule["to"]
            for port in rule["ports"]
        ]
    on_gke = "tiffin-allow-google" in cluster.names("NetworkPolicy")

    for protocol in ("UDP", "TCP"):
        assert any("kube-system" in peer for peer, *rest in reached if rest == [protocol, 53])
        assert ("169.254.20.10/32", protocol, 53) in reached
        assert (("169.254.169.254/32", protocol, 53) in reached) is on_gke


def test_references_resolve(cluster: Cluster) -> None:
    for service in cluster.of("Service"):
        pods = cluster.matching(service["spec"]["selector"])
        assert len(pods) == 1, service["metadata"]["name"]
        for port in service["spec"]["ports"]:
            assert port["targetPort"] in port_names(pods[0])
    for autoscaler in cluster.of("HorizontalPodAutoscaler"):
        assert autoscaler["spec"]["scaleTargetRef"]["name"] in cluster.names("Deployment")
        assert autoscaler["spec"]["minReplicas"] <= autoscaler["spec"]["maxReplicas"]
    for budget in cluster.of("PodDisruptionBudget"):
        assert len(cluster.matching(budget["spec"]["selector"]["matchLabels"])) == 1
    for binding in cluster.of("RoleBinding"):
        assert binding["roleRef"]["name"] in cluster.names("Role")
        assert {subject["name"] for subject in binding["subjects"]} <= cluster.names("ServiceAccount")
    for route in cluster.of("GRPCRoute", "VirtualService"):
        hosts = re.findall(r"'(?:name|host)': '(tiffin-(?:stable|candidate))'", str(route))
        assert set(hosts) == {"tiffin-stable", "tiffin-candidate"} <= cluster.names("Service")


def test_pods_use_existing_resources(cluster: Cluster) -> None:
    templates = {
        template["metadata"]["name"]
        for workload in cluster.of("StatefulSet")
        for template in workload["spec"]["volumeClaimTemplates"]
    }
    for name, pod in cluster.pods().items():
        spec = pod["spec"]
        assert spec.get("serviceAccountName") in cluster.names("ServiceAccount") | {None}
        volumes = {volume["name"] for volume in spec["volumes"]}
        mounts = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        assert volumes | templates >= mounts, name
        assert mounts >= volumes, name
        text = str(spec)
        assert set(re.findall(r"'claimName': '([^']+)'", text)) <= cluster.names("PersistentVolumeClaim")
        maps = re.findall(
            r"'(?:configMap|configMapRef|configMapKeyRef)': {(?:'key': '[^']+', )?'name': '([^']+)'", text
        )
        assert set(maps) <= cluster.names("ConfigMap"), name


def test_traffic_starts_at_the_stable_servers(cluster: Cluster) -> None:
    for route in cluster.of("GRPCRoute"):
        assert [backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]] == [100, 0]
    for route in cluster.of("VirtualService"):
        assert [backend["weight"] for backend in route["spec"]["http"][0]["route"]] == [100, 0]


def test_every_resource_has_the_namespace_and_the_label(cluster: Cluster) -> None:
    assert len({resource["metadata"]["namespace"] for resource in cluster.resources}) == 1
    for resource in cluster.resources:
        assert resource["metadata"]["labels"]["app.kubernetes.io/part-of"] == "tiffin", resource["metadata"]["name"]


def test_the_config_map_has_the_steps_settings(cluster: Cluster) -> None:
    settings = next(config["data"] for config in cluster.of("ConfigMap") if config["metadata"]["name"] == "tiffin")

    assert settings.keys() >= {"TIFFIN_SERVING_ROOT", "TIFFIN_SERVING_ADDRESS", "MLFLOW_TRACKING_URI"}
    assert settings["TIFFIN_SERVING_ADDRESS"].removesuffix(":8500") in cluster.names("Service")
    metrics = check_url(settings["TIFFIN_SERVING_METRICS"])
    [pods] = [service for service in cluster.of("Service") if service["metadata"]["name"] == metrics.hostname]
    # One address for each pod of the stable servers, at the path of their metrics.
    assert pods["spec"]["clusterIP"] == "None"
    [server] = cluster.matching(pods["spec"]["selector"])
    assert server == cluster.pods()["tiffin-stable"]
    assert metrics.port in [port["port"] for port in pods["spec"]["ports"]]
    assert metrics.path == server["metadata"]["annotations"]["prometheus.io/path"]
    if "mlflow" in cluster.names("Deployment"):
        assert settings["MLFLOW_TRACKING_URI"] == "http://mlflow:5000"
        assert "mlflow" in cluster.names("Service")


def test_rollouts_find_what_the_config_map_names(cluster: Cluster) -> None:
    settings = next(config["data"] for config in cluster.of("ConfigMap") if config["metadata"]["name"] == "tiffin")
    services = {one["metadata"]["name"]: one["spec"] for one in cluster.of("Service")}
    addresses = [value for name, value in settings.items() if name.endswith(("_ADDRESS", "_METRICS"))]

    for address in addresses:
        parts = urlsplit(address if "://" in address else f"//{address}")
        [port] = [one for one in services[str(parts.hostname)]["ports"] if one["port"] == parts.port]
        # A headless Service has the addresses of pods, whose ports are those of the containers.
        [pod] = cluster.matching(services[str(parts.hostname)]["selector"])
        ports = {one["name"]: one["containerPort"] for c in pod["spec"]["containers"] for one in c.get("ports", [])}
        assert ports[port["targetPort"]] == parts.port
    assert settings["TIFFIN_CANDIDATE_DEPLOYMENT"] in cluster.names("Deployment")
    router = {"grpcroutes": "gateway-api", "virtualservices": "istio"}
    objects = {resource for role in cluster.of("Role") for rule in role["rules"] for resource in rule["resources"]}
    chosen = [name for resource, name in router.items() if resource in objects]
    chosen += ["envoy"] if "tiffin-gateway" in cluster.names("Deployment") else []
    assert [settings[name] for name in ("TIFFIN_ROUTES",) if name in settings] == chosen


def test_steps_may_scale_the_candidate_servers_only(cluster: Cluster) -> None:
    [role] = [one for one in cluster.of("Role") if one["metadata"]["name"] == "tiffin-candidate-scaler"]
    [binding] = [one for one in cluster.of("RoleBinding") if one["metadata"]["name"] == "tiffin-candidate-scaler"]

    assert role["rules"] == [
        {
            "apiGroups": ["apps"], "resources": ["deployments/scale"], "resourceNames": ["tiffin-candidate"],
            "verbs": ["get", "patch"],
        }
    ]  # fmt: skip
    assert [subject["name"] for subject in binding["subjects"]] == ["tiffin-pipeline"]


def test_pods_in_a_profile_have_no_proxy() -> None:
    for combination in COMBINATIONS:
        injected = [
            pod["metadata"]["labels"].get("sidecar.istio.io/inject") for pod in Cluster(combination).pods().values()
        ]
        assert set(injected) == ({"false"} if combination[0] == "kubeflow" else {None})


def test_image_tags_match_this_version(cluster: Cluster) -> None:
    used = {container["image"] for pod in cluster.pods().values() for container in pod["spec"]["containers"]}
    serving = {image for image in used if image.startswith("tensorflow/serving:")}
    api = re.search(r'"tensorflow-serving-api==(\d+\.\d+)\.\*"', PROJECT)

    assert f"tiffin/model:{__version__}" in used
    assert len(serving) == 1
    assert api
    assert serving.pop().startswith(f"tensorflow/serving:{api.group(1)}.")
    assert all(re.search(r":\d+\.\d+", image) for image in used)


def test_servers_and_steps_run_as_the_same_user() -> None:
    """Servers can read the files that steps write to a volume."""
    dockerfile = (ROOT / "components" / "images" / "Dockerfile").read_text()
    pods = Cluster(("local", ())).pods()

    for name in ("tiffin-stable", "tiffin-candidate", "tiffin-seed"):
        context = pods[name]["spec"]["securityContext"]
        assert f"USER {context['runAsUser']}:{context['runAsGroup']}" in dockerfile
        assert context["fsGroup"] == context["runAsGroup"]


def test_the_gpu_image_has_the_same_version() -> None:
    def image(*options: str) -> str:
        containers = Cluster(("gcp", options)).pods()["tiffin-stable"]["spec"]["containers"]
        return str(containers[0]["image"])

    assert image("gpu") == f"{image()}-gpu"


def test_a_rollout_needs_no_spare_gpu(cluster: Cluster) -> None:
    for workload in cluster.of("Deployment"):
        containers = workload["spec"]["template"]["spec"]["containers"]
        if any("nvidia.com/gpu" in container["resources"]["limits"] for container in containers):
            assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_a_completed_job_is_deleted(cluster: Cluster) -> None:
    """A Job's image is immutable, so `kubectl apply` rejects a new image while the old Job exists."""
    assert {job["spec"]["ttlSecondsAfterFinished"] for job in cluster.of("Job")} == {0}
