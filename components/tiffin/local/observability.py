"""The pages of metrics of a state folder: those of its model server, its gateway and its recorder."""

from pathlib import Path
from urllib.parse import urlsplit

from tiffin.local import gateway, serving


def find_targets(state: str | Path) -> dict[str, list[str]]:
    """Return the addresses of the pages of metrics, as `host:port`, by the job of `tiffin.observability.scraping`.

    What does not run has no address. The candidate server has none either: its requests are counted by the gateway.

    Args:
        state: The state folder.
    """
    status = gateway.read_status(state)
    found = {
        "tiffin-servers": (status.stable_rest if status else "") or serving.rest_address(state),
        "tiffin-gateway": urlsplit(status.metrics).netloc if status else "",
        "tiffin-recorder": urlsplit(status.recorder_metrics).netloc if status else "",
    }
    return {job: [address] if address else [] for job, address in found.items()}
