"""Bring the files of a model in line with its rollout: the candidate servers' config, where requests go, and the history.

They follow from `rollout.json` alone, so that this can be repeated at any time, by any process.
"""

import time

from tiffin import storage
from tiffin.errors import Conflict
from tiffin.gateway.traffic_document import parse_traffic, write_traffic
from tiffin.governance.changes import pauses
from tiffin.governance.merging import merge
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.rollout.recording import record
from tiffin.serving import model_config
from tiffin.serving.root import CANDIDATE, TRAFFIC, ServedModel


def settle(served: ServedModel) -> Rollout | None:
    """Write what follows from the rollout of a model, and return the rollout; None if there was none.

    These are its files, and its records in the history. The candidate servers are told first of a version that they should
    load, and the gateway first of one that gets no more requests.

    Raises:
        Conflict: Other processes changed the files in all attempts.
        StorageError: The serving root cannot be read or written.
    """
    for pause in pauses():
        rollout, _ = read_rollout(served)
        if rollout is None:
            return None
        try:
            if rollout.is_over:
                _write_traffic(served, rollout)
                _write_candidate(served, rollout)
            else:
                _write_candidate(served, rollout)
                _write_traffic(served, rollout)
        except Conflict:
            time.sleep(pause)
            continue
        merge(served.root)
        # Last, so that a history that many write delays nothing.
        record(served, rollout)
        # Another process may have changed the rollout meanwhile, and have written its files before these.
        if read_rollout(served)[0] == rollout:
            return rollout
    raise Conflict(f"The rollout of the model '{served.name}' was changed by others in all attempts. Try again.")


def is_settled(served: ServedModel, rollout: Rollout) -> bool:
    """Return whether the files of a model are those of its rollout."""
    candidate, traffic = served.read(CANDIDATE), served.read(TRAFFIC)
    return (candidate[0] if candidate else None) == _candidate(served, rollout) and (
        parse_traffic(traffic, served.locate(TRAFFIC)) == rollout.traffic
    )


def find_candidates(root: str) -> set[str]:
    """Return the names of the models that the candidate servers should have.

    Raises:
        InputError: The file of all models cannot be read.
        StorageError: The serving root cannot be read.
    """
    state = storage.read(storage.join(root, CANDIDATE))
    if state is None:
        return set()
    config = model_config.read_config(state[0].decode(errors="replace"))
    return {one.name for one in config.model_config_list.config}


def _candidate(served: ServedModel, rollout: Rollout) -> bytes | None:
    return None if rollout.is_over else served.make_config(rollout.version)


def _write_candidate(served: ServedModel, rollout: Rollout) -> None:
    state, content = served.read(CANDIDATE), _candidate(served, rollout)
    if content is None and state:
        storage.compare_and_delete(served.locate(CANDIDATE), state[1])
    elif content is not None and (state is None or state[0] != content):
        storage.compare_and_swap(served.locate(CANDIDATE), content, state[1] if state else None)


def _write_traffic(served: ServedModel, rollout: Rollout) -> None:
    state, wanted = served.read(TRAFFIC), rollout.traffic
    if (state[0] if state else None) != wanted.content:
        write_traffic(served, wanted, state)
