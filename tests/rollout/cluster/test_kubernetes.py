from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from support.kubernetes_api import DEPLOYMENT, Cluster, running_cluster
from support.waiting import free_port
from tiffin.errors import Conflict, InputError, ServingError
from tiffin.rollout.cluster import kubernetes
from tiffin.rollout.cluster.kubernetes import find_api, patch, read
from tiffin.rollout.cluster.routes import ROUTERS
from tiffin.rollout.cluster.scaling import scale, scale_of

SCALE = scale_of("tiffin-candidate")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(kubernetes, "_PAUSES", (0.0, 0.0))
    with running_cluster(tmp_path) as running:
        yield running


def test_outside_of_a_pod(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="KUBERNETES_SERVICE_HOST"):
        find_api({}, tmp_path)
    with pytest.raises(InputError, match="token"):
        find_api({"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "1"}, tmp_path)


def test_the_api_server_of_a_pod(cluster: Cluster) -> None:
    assert find_api(cluster.environment, cluster.api.account) == cluster.api


def test_an_object_is_read_and_changed(cluster: Cluster) -> None:
    assert read(cluster.api, SCALE)["spec"] == {"replicas": 0}
    assert patch(cluster.api, SCALE, {"spec": {"replicas": 3}})["spec"] == {"replicas": 3}
    assert cluster.replicas == 3


def test_a_token_that_was_replaced(cluster: Cluster) -> None:
    read(cluster.api, SCALE)
    cluster.rotate("second")

    assert read(cluster.api, SCALE)["spec"] == {"replicas": 0}


@pytest.mark.parametrize("faults", [[500], [503, 429]])
def test_an_api_server_that_is_busy(cluster: Cluster, faults: list[int]) -> None:
    cluster.faults = list(faults)

    assert read(cluster.api, SCALE)["spec"] == {"replicas": 0}
    assert len(cluster.requests) == len(faults) + 1


def test_an_api_server_that_does_not_recover(cluster: Cluster) -> None:
    cluster.faults = [500] * 9
    with pytest.raises(ServingError) as caught:
        patch(cluster.api, SCALE, {"spec": {"replicas": 1}})

    assert caught.value.code == "UNAVAILABLE"
    assert len(cluster.requests) == 3


def test_an_api_server_that_is_not_there(cluster: Cluster) -> None:
    with pytest.raises(ServingError) as caught:
        read(replace(cluster.api, port=free_port()), SCALE)

    assert caught.value.code == "UNAVAILABLE"


def test_a_certificate_of_another_authority(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with running_cluster(tmp_path / "other") as other, pytest.raises(InputError, match="certificate"):
        read(replace(cluster.api, account=other.api.account), SCALE)


def test_a_token_that_is_refused(cluster: Cluster) -> None:
    cluster.token = "another"
    with pytest.raises(InputError, match=r"\(401\)"):
        read(cluster.api, SCALE)


def test_a_verb_that_the_role_lacks(cluster: Cluster) -> None:
    cluster.rules = [{**rule, "verbs": ["get"]} for rule in cluster.rules]
    with pytest.raises(InputError, match=r"\(403\).*tiffin-candidate-scaler.*tiffin-pipeline"):
        scale(cluster.api, "tiffin-candidate", True)
    assert cluster.replicas == 0


def test_the_role_allows_no_other_deployment(cluster: Cluster) -> None:
    with pytest.raises(InputError, match=r"\(403\)"):
        scale(cluster.api, "tiffin-stable", True)


def test_a_deployment_that_does_not_exist(cluster: Cluster) -> None:
    cluster.objects[DEPLOYMENT.replace("candidate", "other")] = cluster.objects.pop(DEPLOYMENT)
    with pytest.raises(InputError, match=r"Deployment 'tiffin-candidate'.*'team'"):
        read(cluster.api, SCALE)


def test_a_cluster_without_an_api(cluster: Cluster) -> None:
    cluster.rules[0] |= {"apiGroups": ["*"]}
    for router in ROUTERS.values():
        group = router.resource.api.partition("/")[0]
        cluster.rules.append({
            "apiGroups": [group], "resources": [router.resource.plural], "verbs": ["get"],
        })  # fmt: skip
        with pytest.raises(InputError, match=f"kubectl api-resources --api-group={group}"):
            read(cluster.api, router.resource)


def test_an_object_that_was_changed_meanwhile(cluster: Cluster) -> None:
    version = read(cluster.api, SCALE)["metadata"]["resourceVersion"]
    cluster.change(cluster.objects[DEPLOYMENT], {"spec": {"replicas": 2}})
    with pytest.raises(Conflict):
        patch(cluster.api, SCALE, {"metadata": {"resourceVersion": version}, "spec": {"replicas": 1}})
    assert cluster.replicas == 2


class TestScaling:
    def test_from_zero_and_back(self, cluster: Cluster) -> None:
        scale(cluster.api, "tiffin-candidate", True)
        assert cluster.replicas == 1
        scale(cluster.api, "tiffin-candidate", False)
        assert cluster.replicas == 0

    def test_what_the_autoscaler_added_stays(self, cluster: Cluster) -> None:
        cluster.change(cluster.objects[DEPLOYMENT], {"spec": {"replicas": 3}})
        scale(cluster.api, "tiffin-candidate", True)
        assert cluster.replicas == 3

    def test_nothing_is_changed_twice(self, cluster: Cluster) -> None:
        for is_needed in (False, True, True, False, False):
            scale(cluster.api, "tiffin-candidate", is_needed)
        assert len(cluster.changes()) == 2
