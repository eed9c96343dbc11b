"""Write Envoy's configuration, and keep it in line with a serving root. It runs beside Envoy on a cluster.

python -m tiffin.gateway --serving-root=gs://bucket/serving --folder=/run/envoy --stable=tiffin-stable-servers:8500
"""

import argparse
import sys
from pathlib import Path

from tiffin.errors import TiffinError, reported, watched
from tiffin.gateway.clusters import Upstreams
from tiffin.gateway.envoy import BOOTSTRAP, Places, make_bootstrap
from tiffin.gateway.following import Follower
from tiffin.printing import printable
from tiffin.serving.root import resolve_root
from tiffin.signals import StopSignal
from tiffin.storage.files import write_json


def main(arguments: list[str] | None = None) -> int:
    """Follow the serving root until SIGTERM or Ctrl-C."""
    options = _parser().parse_args(arguments)
    stopped = StopSignal()
    places = Places(
        options.folder, options.host, options.port, options.metrics_host, options.metrics_port, options.recorder,
        options.throttle,
    )  # fmt: skip
    upstreams = Upstreams(
        options.stable, options.stable_rest, options.candidate, options.candidate_rest, str(places.mirror)
    )
    follower = Follower(resolve_root(options.serving_root), options.folder, upstreams, places.admin, _log)
    while True:
        try:
            if follower.follow():
                _log(f"traffic {follower.table.digest}: {', '.join(follower.table.models) or 'no models'}")
            # Last, since Envoy starts when the file is there. Its time shows that this program works.
            if not (options.folder / BOOTSTRAP).exists():
                write_json(options.folder / BOOTSTRAP, make_bootstrap(places))
            (options.folder / "followed").touch()
        except (TiffinError, OSError) as error:
            _log(str(error))
        if stopped.wait(options.poll_seconds):
            return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tiffin.gateway", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--serving-root", required=True, help="path or gs:// URI that the model servers load from")
    parser.add_argument("--folder", type=Path, required=True, help="folder of Envoy's files and sockets")
    parser.add_argument("--stable", required=True, help="host:port of the stable servers' gRPC API")
    parser.add_argument("--stable-rest", default="", help="host:port of their REST API (default: none)")
    parser.add_argument("--candidate", default="", help="host:port of the candidate servers' gRPC API (default: none)")
    parser.add_argument("--candidate-rest", default="", help="host:port of their REST API (default: none)")
    parser.add_argument("--recorder", default="", help="host:port of the recorder (default: none)")
    parser.add_argument("--throttle", default="", help="file that the recorder's --throttle names (default: none)")
    parser.add_argument("--host", default="127.0.0.1", help="address of the gateway (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8500, help="port of the gateway (default: 8500)")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="address of the metrics (default: 127.0.0.1)")
    parser.add_argument("--metrics-port", type=int, default=9901, help="port of the metrics (default: 9901)")
    parser.add_argument("--poll-seconds", type=float, default=1.0, help="time between looks (default: 1)")
    return parser


def _log(text: str) -> None:
    sys.stderr.write(f"tiffin gateway: {printable(text)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    watched("gateway")
    with reported():
        sys.exit(main())
