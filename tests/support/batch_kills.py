"""Predict a batch in processes that are killed at their n-th write, each going on where the one before ended.

    python tests/support/batch_kills.py MODEL EXAMPLES LOCATION LOG

Prints the number of processes that were killed.
"""

import sys

from support.write_kills import kill_until_done
from tiffin.stages.predict.prediction import predict


def main(model: str, examples: str, location: str, log: str) -> None:
    """Predict until a process is not killed at a write below the location or the log."""
    import tensorflow  # noqa: F401 - before the processes are forked

    def work() -> None:
        output = f"{location}-artifact"
        predict(examples, output, model=model, name="taxi", key="trip", location=location, log=True, log_root=log)

    kill_until_done(work, (location, log))


if __name__ == "__main__":
    main(*sys.argv[1:])
