"""Follow a serving root: bring Envoy's clusters and routes in line with `gateway.json`."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.errors import TiffinError
from tiffin.gateway import admin
from tiffin.gateway.clusters import Upstreams, make_clusters, without_candidate
from tiffin.gateway.envoy import CLUSTERS
from tiffin.gateway.routes import make_routes
from tiffin.gateway.table import Table, parse_table
from tiffin.serving.root import GATEWAY
from tiffin.storage.files import write_bytes

# A request that no server has accepted is sent again to the same cluster for this long, see `routes._RETRIES`.
_RETRY_SECONDS = 30.0


@dataclass
class Follower:
    """A gateway that follows a serving root.

    Attributes:
        root: The serving root.
        folder: Folder of Envoy's files.
        upstreams: The model servers.
        admin: Socket of Envoy's admin interface.
        log: Receives a line for what could not be done.
        table: The models as last read.
    """

    root: str
    folder: Path
    upstreams: Upstreams
    admin: Path
    log: Callable[[str], None]
    table: Table = field(default_factory=lambda: Table({}))
    _problem: str = ""
    _routes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _clusters: list[dict[str, Any]] = field(default_factory=list)
    # Clusters that no route names any more, to the time at which they may go.
    _until: dict[str, float] = field(default_factory=dict)

    def follow(self) -> bool:
        """Read the file, and write what follows from it; return whether the routes changed.

        A file that cannot be read counts as what it was.
        """
        try:
            self.table = parse_table(storage.read(storage.join(self.root, GATEWAY)), self.root)
            self._problem = ""
        except TiffinError as error:
            # Once: it is read again and again.
            if str(error) != self._problem:
                self.log(f"The gateway keeps the traffic as it was. {error}")
            self._problem = str(error)
        clusters = make_clusters(self.table, self.upstreams)
        routes = make_routes(self.table, has_rest=bool(self.upstreams.stable_rest))
        names, now = {one["name"] for one in clusters}, time.monotonic()
        others = [one for one in self._clusters if one["name"] not in names]
        if routes == self._routes:
            # gRPC requests that wait for a candidate server when the rollout ends go to the stable ones.
            kept = [one for one in others if self._until.get(one["name"], now) > now]
            self._write_clusters([*clusters, *(without_candidate(one, self.upstreams) for one in kept)])
            return False
        # Routes may name a cluster only once Envoy has it, and no cluster may go before its routes have.
        self._write_clusters([*clusters, *others])
        self._until = {one["name"]: self._until.get(one["name"], now + _RETRY_SECONDS) for one in others}
        for name, table in routes.items():
            write_resources(self.folder / f"{name}.json", digest_of(table), [table])
        self._routes = routes
        return True

    def _write_clusters(self, clusters: list[dict[str, Any]]) -> None:
        if clusters == self._clusters:
            return
        version = digest_of(clusters)
        write_resources(self.folder / CLUSTERS, version, clusters)
        self._clusters = clusters
        if self.admin.exists() and not admin.wait_for_clusters(self.admin, version):
            self.log("Envoy has not taken over the clusters within 5 s.")


def write_resources(path: Path, version: str, resources: list[dict[str, Any]]) -> None:
    """Write a file that Envoy watches, atomically."""
    document = {"version_info": version, "resources": resources}
    write_bytes(path, (json.dumps(document, indent=1) + "\n").encode())


def digest_of(value: Any) -> str:
    """Return a digest of a JSON value: equal values give equal digests."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
