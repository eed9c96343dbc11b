"""The files of a serving root that have all models. The model servers and the gateway read them.

TensorFlow Serving reads one config, and a gateway one table. Each model has files of its own, so that changes of different
models do not conflict; these files follow from them.
"""

import random
import time
from typing import Any

from tiffin import storage
from tiffin.errors import Conflict, InputError
from tiffin.gateway.table import Served, Table, parse_table
from tiffin.gateway.traffic_document import parse_traffic
from tiffin.serving import model_config
from tiffin.serving.recording import read_recording
from tiffin.serving.root import CANDIDATE, GATEWAY, STABLE, TRAFFIC, ServedModel, State, find_models, model_of

_ATTEMPTS = 20


def merge(root: str) -> list[str]:
    """Bring the files of all models in line with those of each model, and return the names of those that changed.

    A model whose file cannot be read stays as it was.

    Raises:
        Conflict: Other processes changed a file in all attempts.
        StorageError: The serving root cannot be read or written.
    """
    changed: set[str] = set()
    for attempt in range(_ATTEMPTS):
        # Read before the models' files, so that a change of these that comes later finds another state.
        states = _read(root)
        try:
            for name, content in _wanted(root, states).items():
                state = states[name]
                storage.compare_and_swap(storage.join(root, name), content, state[1] if state else None)
                changed.add(name)
        except Conflict:
            time.sleep(random.uniform(0, 0.02 * attempt))  # noqa: S311 - spreads the attempts of several processes
            continue
        return sorted(changed)
    raise Conflict(f"The configs of all models in '{root}' were changed by others in {_ATTEMPTS} attempts. Try again.")


def find_stale(root: str) -> list[str]:
    """Return the names of the files that do not have what the models' files say."""
    return sorted(_wanted(root, _read(root)))


def _read(root: str) -> dict[str, State]:
    return {name: storage.read(storage.join(root, name)) for name in (STABLE, CANDIDATE, GATEWAY)}


def _wanted(root: str, states: dict[str, State]) -> dict[str, bytes]:
    """Return the content of each file that has another."""
    models = [ServedModel(root, name) for name in find_models(root)]
    stable = {served.name: served.read(STABLE) for served in models}
    candidate = {served.name: served.read(CANDIDATE) for served in models}
    wanted = {
        STABLE: _merge_configs(stable, states[STABLE]),
        CANDIDATE: _merge_configs(candidate, states[CANDIDATE]),
        GATEWAY: _merge_traffic(models, stable, states[GATEWAY], root),
    }
    if not models:
        # Files that do not exist say the same as empty ones.
        wanted = {name: content for name, content in wanted.items() if states[name]}
    return {name: content for name, content in wanted.items() if (states[name] or (None,))[0] != content}


def _merge_configs(configs: dict[str, State], state: State) -> bytes:
    before = model_config.read_config(state[0].decode(errors="replace")) if state else model_config.make_config()
    own: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, found in configs.items():
        try:
            config = (
                model_config.read_config(found[0].decode(errors="replace")) if found else model_config.make_config()
            )
            models = config.model_config_list.config
        except InputError:
            models = [one for one in before.model_config_list.config if one.name == name]
        for one in models:
            (own if model_of(one.name) == name else others)[one.name] = one
    # TensorFlow Serving refuses a config that lists a name twice, with all models in it. That of the model's own file counts.
    entries = [one for _, one in sorted((others | own).items())]
    return model_config.format_config(model_config.make_config(entries)).encode()


def _merge_traffic(models: list[ServedModel], stable: dict[str, State], state: State, root: str) -> bytes:
    try:
        before = parse_table(state, root).models
    except InputError:
        before = {}
    table = {}
    for served in models:
        try:
            version = max(served.versions_in(stable[served.name]), default=None)
            traffic = parse_traffic(served.read(TRAFFIC), served.locate(TRAFFIC))
            # A candidate is compared with one version, and has no part in what replaces that.
            traffic = traffic.with_stable(version)
            table[served.name] = Served(version, traffic, read_recording(served)[0].share)
        except InputError:
            if served.name in before:
                table[served.name] = before[served.name]
    return Table(table).content
