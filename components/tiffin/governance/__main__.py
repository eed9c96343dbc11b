"""Bring MLflow in line with the history of a model, in a process that has MLflow.

    python -m tiffin.governance follow|verify|repair <serving root> <model>

It imports MLflow, which takes seconds, and then waits for a line on standard input, so that it can be started before the
history changes. The tracking URI is in MLFLOW_TRACKING_URI. It prints one JSON object: `lines` and `findings`.
"""

import json
import sys

from tiffin.artifacts import documents
from tiffin.errors import TiffinError
from tiffin.governance import aliases
from tiffin.governance.verification import verify_aliases
from tiffin.serving.root import ServedModel


def main(action: str, root: str, name: str) -> int:
    """Do what standard input asks for, once."""
    # Imported while the caller changes the history.
    from tiffin.tracking import client, faults  # noqa: F401

    # A person waits, and can repeat the command.
    faults.WAITS = faults.WAITS[:2]
    served = ServedModel(root, name)
    if not sys.stdin.readline():
        return 0
    try:
        if action == "follow":
            result = {"lines": aliases.describe(name, aliases.follow(served, ""))}
        else:
            findings = verify_aliases(served, "", repair=action == "repair")
            result = {"findings": documents.to_json(findings)}
    except TiffinError as error:
        result = {"error": [str(error)]}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
