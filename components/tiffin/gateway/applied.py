"""Whether gateways send requests as the serving root says.

Each gateway shows the digest of the table whose routes it has, see `tiffin.gateway.routes`.
"""

import http.client
from typing import Literal

from tiffin import storage
from tiffin.gateway.routes import APPLIED
from tiffin.gateway.stats import find_addresses
from tiffin.gateway.table import parse_table
from tiffin.serving.root import GATEWAY

# `applied`: all of them do. `pending`: some send them as before. `silent`: none sends them as before, but not all answer.
State = Literal["applied", "pending", "silent"]

_SECONDS = 5.0


def find_state(address: str, root: str) -> State:
    """Return whether every gateway behind an address sends requests as the serving root says.

    Args:
        address: `host:port` of the gateways. In a cluster, the host is a headless Service, which has an address for each pod.
        root: The serving root.

    Raises:
        InputError: The file of the serving root is invalid.
        StorageError: The serving root cannot be read.
    """
    wanted = parse_table(storage.read(storage.join(root, GATEWAY)), root).digest
    host, _, port = address.rpartition(":")
    try:
        digests = {_read_digest(one, int(port)) for one in find_addresses(host.strip("[]"), int(port))}
    except (OSError, ValueError):
        return "silent"
    if digests == {wanted}:
        return "applied"
    return "silent" if digests <= {wanted, None} else "pending"


def _read_digest(address: str, port: int) -> str | None:
    """Return the digest that a gateway shows; None if it does not answer."""
    connection = http.client.HTTPConnection(address, port, timeout=_SECONDS)
    try:
        connection.request("GET", APPLIED)
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
