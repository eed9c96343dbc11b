"""Writes the dashboards, for the Makefile: `python -m dashboards`, in a checkout."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dashboards import drift, quality, rollout, service
from tiffin.storage.files import write_bytes

FOLDER = Path("manifests/options/monitoring")
# Name of the file to the function that makes the dashboard.
DASHBOARDS = {"service": service.make, "quality": quality.make, "drift": drift.make, "rollout": rollout.make}


def format_dashboard(dashboard: Mapping[str, Any]) -> bytes:
    """Return the content of a dashboard's file: equal dashboards give equal bytes."""
    return (json.dumps(dashboard, indent=1, ensure_ascii=False) + "\n").encode()


def main() -> int:
    """Write the dashboards into the manifests."""
    for name, make in DASHBOARDS.items():
        write_bytes(FOLDER / f"{name}.json", format_dashboard(make()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
