"""Deployments that wait for approval, and the aliases in MLflow, without a server."""

import pytest

from tiffin.artifacts.deployment import read_deployment
from tiffin.artifacts.model import saved_model
from tiffin.errors import InputError, ServingError
from tiffin.governance.approval import approve, reject
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import STABLE, ServedModel
from tiffin.stages.deploy.deployment import deploy

NAME = "deliveries"
BOB = Author("bob", "a test")


@pytest.fixture
def served(tmp_path):
    return ServedModel(str(tmp_path / "root"), NAME)


@pytest.fixture
def deployed(models, tmp_path):
    given = models.binary

    def run(**options):
        settings = {"run": "run-1", "approval": "four_eyes", "requested_by": "ada", "deadline_seconds": 1.0} | options
        return deploy(
            given.model, given.examples, tmp_path / "out", NAME, 1, serving_root=str(tmp_path / "root"),
            address="127.0.0.1:1", **settings,
        )  # fmt: skip

    return run


def test_a_version_waits_with_its_files(deployed, served, models, tmp_path):
    found = deployed()

    assert found == read_deployment(tmp_path / "out")
    assert (found.version, found.address, found.answer) == (1, "", {})
    assert found.waits_for
    assert served.find_versions() == [1]
    assert served.read(STABLE) is None
    record = read_history(served).newest
    assert (record.action, record.rule, record.lineage.requested_by, record.author.who) == (
        "candidate", "four_eyes", "ada", "ada"
    )  # fmt: skip
    assert (saved_model(models.binary.model) / "saved_model.pb").is_file()


def test_a_retry_goes_on_waiting(deployed, served):
    deployed()
    assert deployed().waits_for

    assert len(read_history(served).records) == 1


def test_a_retry_after_the_approval_deploys(deployed, served):
    """Without a server, the deployment is undone, and the version goes on as the candidate."""
    deployed()
    approve(served, 1, BOB)
    with pytest.raises(ServingError):
        deployed()

    assert [record.action for record in read_history(served).records] == ["candidate", "approve", "promote", "restore"]
    assert read_history(served).standing.candidate == 1
    assert served.find_versions() == [1]


def test_a_rejected_version_is_refused(deployed, served):
    deployed()
    reject(served, 1, BOB)
    with pytest.raises(InputError, match=r"\(a test, bob, "):
        deployed()


def test_without_a_person_the_account_of_the_pod_is_named(deployed, served, tmp_path, monkeypatch):
    monkeypatch.setattr("tiffin.governance.identity.find_account", lambda: "system:serviceaccount:team:runner")
    monkeypatch.setattr("tiffin.stages.deploy.deployment.find_account", lambda: "system:serviceaccount:team:runner")
    found = deployed(requested_by="")
    author = read_history(served).newest.author

    assert author.who == author.account == "system:serviceaccount:team:runner"
    # Nobody is named who could be the first pair of eyes.
    assert "2" in found.waits_for


def test_a_tracking_server_that_is_down_is_a_warning(deployed, served, monkeypatch, capsys):
    from tiffin.tracking import faults

    monkeypatch.setattr(faults, "WAITS", ())
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    assert deployed(tracking_uri="http://127.0.0.1:9").waits_for
    assert "http://127.0.0.1:9" in capsys.readouterr().out
