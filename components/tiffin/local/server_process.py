"""The process of the local model server: merges the configs of the serving root and runs the development server.

    python -m tiffin.local.server_process --state=.tiffin --host=127.0.0.1 --port=8500

TensorFlow Serving reads one config file. In the serving root every model has its own, so that deployments of different
models do not conflict; this process merges them whenever one changes. With `--track=candidate`, it is the candidate server
of a gateway, which serves the candidates of the models.
"""

import argparse
import contextlib
import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

from tiffin.errors import TiffinError, explain
from tiffin.local import gateway, serving
from tiffin.local.ports import find_port
from tiffin.priority import at_low_priority
from tiffin.serving.model_config import format_config, read_config
from tiffin.serving.root import CANDIDATE, STABLE, find_configs
from tiffin.storage.files import write_bytes

_POLL_SECONDS = 0.2
# The modules of the model server that import TensorFlow and gRPC, which is seconds of work.
_HEAVY = ("tiffin.model_server.loading", "tiffin.model_server.listening")
_NICENESS = 5


def main() -> int:
    """Serve until SIGTERM, Ctrl-C, or the removal of the state folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rest-port", type=int, help="0 for any free port; without it, there is no REST API")
    parser.add_argument("--track", choices=["stable", "candidate"], default="stable")
    parser.add_argument("--allow-reload-config", action="store_true")
    options = parser.parse_args()
    # A background server should not keep the working directory in use.
    os.chdir("/")
    is_stable = options.track == "stable"
    folder = serving.server_folder(options.state) if is_stable else gateway.gateway_folder(options.state)
    config = folder / ("models.config" if is_stable else CANDIDATE)
    name = STABLE if is_stable else CANDIDATE
    rest = find_port(options.host, options.rest_port) if options.rest_port is not None else 0
    sources: dict[Path, tuple[int, bytes]] = {}
    merge_configs(options.state, config, sources, name)
    monitoring = config.with_name(f"{options.track}-monitoring.config")
    write_bytes(monitoring, b"prometheus_config { enable: true }\n")
    changed = threading.Event()
    if is_stable:
        serving.rest_path(options.state).unlink(missing_ok=True)
        if rest:
            write_bytes(serving.rest_path(options.state), f"{options.host}:{rest}".encode())
    if not is_stable:
        # It starts while the stable server answers requests, maybe on a machine with two processors.
        at_low_priority(lambda: [importlib.import_module(module) for module in _HEAVY], _NICENESS)
    # Imports TensorFlow, which `merge_configs` does not need.
    from tiffin.model_server import main as serve

    threading.Thread(target=_follow, args=(options.state, config, sources, changed, name), daemon=True).start()
    try:
        return serve(
            [
                f"--port={options.port}",
                f"--host={options.host}",
                f"--rest_api_port={rest}",
                f"--model_config_file={config}",
                # The page of metrics, with the REST API.
                f"--monitoring_config_file={monitoring}",
                # The merged file is the only way to change the models. It is in a folder of the user, whereas the port is open
                # to every user of the machine.
                f"--allow_reload_config={str(options.allow_reload_config).lower()}",
                "--model_config_file_poll_wait_seconds=1",
                f"--poll_wait_millis={round(_POLL_SECONDS * 1000)}",
                # Retries do not help on one machine; report a model that fails to load immediately.
                "--max_num_load_retries=0",
            ],
            changed,
        )
    finally:
        if is_stable:
            serving.record_path(options.state).unlink(missing_ok=True)


def _follow(
    state: Path, config: Path, sources: dict[Path, tuple[int, bytes]], changed: threading.Event, name: str
) -> None:
    """Merge the configs whenever one changes, and set `changed`; end the process when its folder is removed."""
    while config.parent.is_dir():
        try:
            if merge_configs(state, config, sources, name):
                changed.set()
        except Exception as error:  # noqa: BLE001 - keep serving; the next attempt may succeed
            _log(f"could not merge the model configs: {explain(error) or repr(error)}")
        time.sleep(_POLL_SECONDS)
    _log(f"stopping, because {config.parent} was removed")
    os.kill(os.getpid(), signal.SIGTERM)


def merge_configs(state: Path, config: Path, sources: dict[Path, tuple[int, bytes]], name: str = STABLE) -> bool:
    """Merge the configs of all models into one file, if any of them changed.

    For a config that cannot be read, for example because it is being written, the last valid content is used.

    Args:
        state: The state folder.
        config: File to write.
        sources: Path -> modification time and content of each config when last read; updated.
        name: Name of the config of each model. Defaults to that of the stable servers.

    Returns:
        Whether the file was written.
    """
    changed = not config.exists()
    found = find_configs(serving.serving_root(state), name)
    for path in [path for path in sources if path not in found]:
        del sources[path]
        changed = True
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            modified = path.stat().st_mtime_ns
            before, content = sources.get(path, (0, b""))
            if modified == before:
                continue
            try:
                content = path.read_bytes()
                read_config(content.decode())
                changed = True
            except (ValueError, TiffinError) as error:
                _log(f"could not read {path}; using its last valid content: {error}")
                content = sources[path][1] if path in sources else b""
            sources[path] = (modified, content)
    if changed:
        merged = read_config("model_config_list {}")
        for _, (_, content) in sorted(sources.items()):
            merged.model_config_list.config.extend(read_config(content.decode()).model_config_list.config)
        write_bytes(config, format_config(merged).encode())
    return changed


def _log(text: str) -> None:
    sys.stderr.write(f"tiffin serve: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    status = main()
    from tiffin.model_server import leave

    leave(status)
