"""The file with the traffic of a model.

    <serving root>/<model>/traffic.json

Without it, all requests go to the stable servers.
"""

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.gateway.traffic import Traffic, check_traffic
from tiffin.serving.root import TRAFFIC, ServedModel, State


def parse_traffic(state: State, origin: str) -> Traffic:
    """Return the traffic in a state of the file; all to stable if it does not exist.

    Raises:
        InputError: The content is not a traffic document, or its shares do not add up.
    """
    if state is None:
        return Traffic()
    traffic = documents.parse(state[0], Traffic, origin)
    check_traffic(traffic)
    return traffic


def read_traffic(served: ServedModel) -> Traffic:
    """Return where the requests for a model go.

    Raises:
        InputError: The file is invalid.
    """
    return parse_traffic(served.read(TRAFFIC), served.locate(TRAFFIC))


def write_traffic(served: ServedModel, traffic: Traffic, state: State) -> None:
    """Write the file, if its state is still the one that was read.

    Raises:
        InputError: The shares do not add up.
        Conflict: Another process has changed the file.
    """
    check_traffic(traffic)
    storage.compare_and_swap(served.locate(TRAFFIC), traffic.content, state[1] if state else None)
