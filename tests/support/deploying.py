"""Processes that deploy at the same time, and a server that is ready after a moment."""

import random
import time
from pathlib import Path

from tiffin.errors import Conflict, StorageError
from tiffin.governance.promotion import promoting
from tiffin.serving.history import Author
from tiffin.serving.root import ServedModel


class NotServed(Exception):
    """The server did not serve a version."""


def deploy(root: str, version: int, saved_model: Path, seed: int) -> str:
    """Deploy a version and return how it ended: `served`, `failed`, or the text of a Conflict.

    Args:
        root: Serving root.
        version: Version to deploy.
        saved_model: Folder to publish.
        seed: Determines when the process starts, how long the server takes, and whether it fails.
    """
    plan = random.Random(f"{seed} {version}")
    served = ServedModel(root, "taxi")
    time.sleep(plan.choice((0, 0.05, 0.2)))
    fails = plan.random() < 0.25
    looks = plan.randrange(1, 5)
    try:
        new = served.publish(saved_model, version)
        with promoting(served, version, Author("ada", f"run {version}"), new=new) as check:
            for _ in range(looks):
                check()
                time.sleep(0.02)
            if fails:
                raise NotServed
    except NotServed:
        return "failed"
    except Conflict as error:
        return str(error)
    except StorageError as error:
        return f"error: {error}"
    return "served"
