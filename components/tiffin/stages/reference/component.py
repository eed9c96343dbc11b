"""KFP declaration of the reference stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Output

from tiffin.stages.reference.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["find_reference"].image, install_kfp_package=False)
def find_reference(
    reference: Output[Artifact],
    model_name: str,
    version: int = 0,
    serving_root: str = "",
    tracking_uri: str = "",
    state: str = "",
) -> NamedTuple("Found", [("version", int), ("data_version", str), ("complete", bool)]):  # type: ignore[valid-type]
    """Fetch what the monitoring of a model compares with from MLflow: statistics, schema and evaluation of its training.

    register_model stored it with the version. Of a version that an earlier Tiffin registered, there are only the evaluation and
    the record of the training; the output complete and the notes tell it. If MLflow does not respond, the copy in state is used.

    Args:
        model_name: Name of the registered model: up to 128 letters, digits, '_', '-' and '.'; starts with a letter or digit.
        version: Version of the model, at least 1. 0 for the version in production: the one that the model servers load from the
            serving root, or without a serving root, the one with the alias champion in MLflow.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the
            step's environment.
        tracking_uri: MLflow tracking URI, without a password or token. Empty for MLFLOW_TRACKING_URI of the step's environment.
        state: Folder or bucket that keeps a copy, which is used while MLflow does not respond. Empty for the prediction log at
            TIFFIN_LOG_ROOT of the step's environment; without either, none is kept.

    Returns:
        reference: reference.json, which names the version and the files beside it: statistics.binpb, schema.pbtxt,
            verdict.json, training.json and manifest.json.
        version: Number of the version.
        data_version: Version of its training data.
        complete: Whether all of these files are there.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.reference.reference import describe, find_reference

        found = find_reference(
            reference.path,
            model_name,
            version=version,
            serving_root=serving_root,
            tracking_uri=tracking_uri,
            state=state,
        )
        for line in describe(found):
            print(printable(line))  # noqa: T201 - the step's log
        return found.version, found.data_version, not found.missing
