"""Whether gateways send requests as the serving root says.

Each gateway shows the digest of the table whose routes it has, see `tiffin.gateway.routes`.
"""

import http.client

from tiffin import storage
from tiffin.errors import ServingError
from tiffin.gateway.routes import APPLIED
from tiffin.gateway.stats import find_addresses
from tiffin.gateway.table import parse_table
from tiffin.serving.root import GATEWAY

_SECONDS = 5.0


def is_applied(address: str, root: str) -> bool:
    """Return whether every gateway behind an address sends requests as the serving root says.

    Args:
        address: `host:port` of the gateways. In a cluster, the host is a headless Service, which has an address for each pod.
        root: The serving root.

    Raises:
        InputError: The file of the serving root is invalid.
        ServingError: The name does not resolve, or a gateway does not answer.
        StorageError: The serving root cannot be read.
    """
    wanted = parse_table(storage.read(storage.join(root, GATEWAY)), root).digest
    host, _, port = address.rpartition(":")
    try:
        addresses = find_addresses(host.strip("[]"), int(port))
    except (OSError, ValueError) as error:
        raise ServingError(
            f"The gateway at {address} cannot be asked: the name does not resolve ({error}).", "UNAVAILABLE"
        ) from None
    return all(_digest(one, int(port)) == wanted for one in addresses)


def _digest(address: str, port: int) -> str:
    connection = http.client.HTTPConnection(address, port, timeout=_SECONDS)
    try:
        connection.request("GET", APPLIED)
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or repr(error)
        raise ServingError(f"No answer from the gateway at {address}:{port}: {reason}.", "UNAVAILABLE") from None
    finally:
        connection.close()
