"""The parameters of the pipeline `training` for a retraining that was decided."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.artifacts.labelled import ROWS, read_labelled
from tiffin.artifacts.retraining import read_retraining
from tiffin.errors import InputError
from tiffin.retraining.settings import complete


def prepare(
    retraining: str | Path, defaults: Mapping[str, Any], labelled: str | Path | None = None, labelled_uri: str = ""
) -> dict[str, Any]:
    """Return the parameters, sorted by name.

    Args:
        retraining: Folder of the retraining artifact.
        defaults: Parameter to the default of the pipeline `training`.
        labelled: Folder of the artifact of labelled answers that are added to the data. Defaults to none.
        labelled_uri: Its location for other steps.

    Raises:
        InputError: The decision was not to start, or a setting is wrong.
    """
    decided = read_retraining(retraining)
    if not decided.starts:
        raise InputError(
            f"retraining should be a decision to start. Received: {decided.code} ({decided.reason}) Branch on the output start."
        )
    settings = dict(decided.settings)
    if labelled and read_labelled(labelled).rows:
        settings["data"] = f"{settings['data']}\n{storage.join(labelled_uri, ROWS)}"
    return dict(sorted(complete(settings, defaults).items()))
