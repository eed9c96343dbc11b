"""Deploy a registered model version: publish its files, have it approved, put it into service, and verify it."""

import os
import tempfile
from pathlib import Path
from typing import Any, cast

from tiffin import storage
from tiffin.artifacts.deployment import Deployment, write_deployment
from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import Training, read_training, saved_model
from tiffin.artifacts.notes import Note
from tiffin.artifacts.registration import read_registration
from tiffin.artifacts.verdict import Evaluation, read_evaluation
from tiffin.errors import InputError, ServingError
from tiffin.governance import aliases
from tiffin.governance.acceptance import accept
from tiffin.governance.approval import find_approval, nominate
from tiffin.governance.identity import check_person, find_account, person_or_account
from tiffin.governance.promotion import check_newest, promoting
from tiffin.printing import printable
from tiffin.serving import warmup
from tiffin.serving.history import Author, Lineage, Rule, read_history
from tiffin.serving.root import STABLE, ServedModel, resolve_root
from tiffin.stages.deploy import watching
from tiffin.stages.deploy.parameters import (
    check_approval,
    check_deadline,
    check_keep_previous,
    check_strategy,
    check_version,
)


def deploy(
    model: str | Path,
    examples: str | Path,
    output: str | Path,
    name: str,
    version: int,
    *,
    evaluation: str | Path = "",
    registration: str | Path = "",
    serving_root: str = "",
    address: str = "",
    deadline_seconds: float = 120.0,
    why: str = "",
    replace_newer: bool = False,
    approval: str = "none",
    requested_by: str = "",
    rollout: str = "direct",
    keep_previous: int = 1,
    watch: str = "",
    max_error_share: float = 0.05,
    tracking_uri: str = "",
    run: str = "",
) -> Deployment:
    """Deploy a model version, wait until the server serves it, request one prediction, and return the deployment.

    If the version needs an approval that it does not have, only its files are published, and it waits as the candidate. If
    the server does not serve it, the configuration is restored and the version's files are removed. The history records each
    change, and the aliases in MLflow follow it.

    Args:
        model: Folder of the model artifact.
        examples: Folder of the examples artifact, which has the sample rows for warm-up and test prediction.
        output: Folder of the deployment artifact.
        name: Name of the model.
        version: Version number, at least 1; the name of its folder.
        evaluation: Folder of the evaluation artifact, for the verdict and the metrics in the history; empty for none.
        registration: Folder of the registration artifact, for the ID of the MLflow run in the history; empty for none.
        serving_root: Path or URI; empty for the environment variable TIFFIN_SERVING_ROOT.
        address: `host:port` of the model server's gRPC API; empty for the environment variable TIFFIN_SERVING_ADDRESS.
        deadline_seconds: Time for the server to load the version and answer, in seconds, above 0. Defaults to 120.
        why: Reason recorded in the history.
        replace_newer: Allow replacing a newer version. Defaults to False.
        approval: Approval that the version needs before it is served. Defaults to none.
        rollout: Strategy of the rollout that follows. With any but direct, the version is not put into service, unless none is.
            Defaults to direct.
        requested_by: Person who asked for the run; empty for the service account of the pod.
        keep_previous: Number of earlier versions that stay loaded, from 0 to 10. Defaults to 1.
        watch: Time for which the servers are watched after the change, such as 2m; 0 for no watch. Empty for TIFFIN_WATCH, and
            without it for two minutes.
        max_error_share: Share of the requests that may fail during the watch on top of the share before, above 0 and below 1.
        tracking_uri: MLflow tracking URI, for the aliases; empty for the environment variable MLFLOW_TRACKING_URI. Without
            either, there are no aliases.
        run: Pipeline run ID; empty outside a pipeline.

    Raises:
        InputError: A parameter or an artifact is invalid.
        Conflict: A newer version is deployed, or replaced this one before the server had answered.
        ServingError: The server did not serve the version in time, the prediction is not finite, or too many requests failed
            after the change.
    """
    root = serving_root or os.environ.get("TIFFIN_SERVING_ROOT", "")
    address = address or os.environ.get("TIFFIN_SERVING_ADDRESS", "")
    for parameter, value, variable, rule in (
        ("serving_root", root, "TIFFIN_SERVING_ROOT", "the path or gs:// URI that the model servers load from"),
        ("serving_address", address, "TIFFIN_SERVING_ADDRESS", "host:port of the model server's gRPC API"),
    ):
        if not value:
            raise InputError(
                f"{parameter} should be {rule}. Received: {parameter}='', and {variable} is not set. Set one of them."
            )
    check_version(version)
    check_deadline(deadline_seconds)
    check_approval(approval)
    check_strategy(rollout)
    check_keep_previous(keep_previous)
    check_person(requested_by)
    served = ServedModel(resolve_root(root), name)
    watched = watching.prepare(watch, max_error_share, name)
    if not replace_newer:
        check_newest(served, version, read_history(served), served.read(STABLE))
    record = read_training(model)
    found = read_evaluation(evaluation) if evaluation else None
    mlflow_run = read_registration(registration).run_id if registration else ""
    rows = read_sample_rows(examples, record.columns)

    new = _publish(saved_model(model), served, version, rows)
    author = Author(person_or_account(requested_by), why, find_account(), run)
    lineage = _lineage(record, found, requested_by, mlflow_run)
    digest = found.verdict_digest if found else ""
    nominate(served, version, author, cast("Rule", approval), lineage, digest, keep_previous)
    given = find_approval(read_history(served), version)
    if not given.is_given and given.rejection is None:
        waits_for = f"{given.missing} approvals" if given.missing > 1 else "approval"
        deployment = Deployment(name, version, "", served.locate(STABLE), {}, f"{waits_for} ({given.rule})")
        write_deployment(output, deployment)
    elif rollout != "direct" and read_history(served).standing.served not in (None, version):
        deployment = Deployment(name, version, "", served.locate(STABLE), {}, rollout=rollout)
        write_deployment(output, deployment)
    else:
        inputs = {column: [value] for column, value in rows[0].items()}
        with promoting(
            served, version, author, new=new, replace_newer=replace_newer, keep_previous=keep_previous
        ) as check:
            answer = accept(address, served, version, inputs, deadline_seconds, check)
            notes = _notes(rollout, version)
            deployment = Deployment(name, version, address, served.locate(STABLE), answer, notes=notes)
            write_deployment(output, deployment)
    _move_aliases(served, tracking_uri)
    if deployment.address:
        try:
            line = watching.follow(served, version, author, watched)
        except ServingError:
            _move_aliases(served, tracking_uri)
            raise
        if line:
            print(printable(line), flush=True)  # noqa: T201 - the step's log
    return deployment


def _notes(rollout: str, version: int) -> tuple[Note, ...]:
    if rollout == "direct":
        return ()
    text = (
        f"version {version} was put into service at once: for rollout={rollout}, there is no version to compare it with"
    )
    return (Note("NO_ROLLOUT", text),)


def _publish(saved_model: Path, served: ServedModel, version: int, rows: list[dict[str, Any]]) -> bool:
    """Publish the SavedModel with warm-up requests made from the rows, and return whether the version is new."""
    if not (saved_model / "saved_model.pb").is_file():
        raise InputError(
            f"model should contain '{saved_model.name}/saved_model.pb'. Received: '{saved_model.parent}' without it. "
            "Pass the model output of the training step."
        )
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, saved_model.name)
        # Not shutil.copytree: its errors do not name the full disk.
        storage.publish_folder(saved_model, str(copy))
        warmup.write_warmup(copy, served.name, rows, signature_names=warmup.find_names(copy))
        return served.publish(copy, version)


def _lineage(record: Training, evaluation: Evaluation | None, requested_by: str, mlflow_run: str) -> Lineage:
    metric = "rmse" if record.task == "regression" else "log_loss"
    metrics = evaluation.metrics if evaluation else {}
    return Lineage(
        requested_by=requested_by,
        data_version=record.data_version,
        schema_digest=record.schema_digest,
        spec_version=record.tiffin_version,
        code_digest=record.own.digest if record.own else "",
        label=record.label,
        metric=metric if metric in metrics else "",
        value=metrics.get(metric),
        metrics=metrics,
        reason=evaluation.reason if evaluation else "",
        mlflow_run=mlflow_run,
    )


def _move_aliases(served: ServedModel, tracking_uri: str) -> None:
    for line in aliases.follow_or_warn(served, tracking_uri):
        print(printable(line), flush=True)  # noqa: T201 - the step's log
