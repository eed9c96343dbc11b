"""The Grafana dashboards as they are committed, and their queries as Grafana sends them."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "manifests" / "options" / "monitoring"
# A metric with its filters.
SELECTOR = re.compile(r"(?P<metric>[a-zA-Z_:][a-zA-Z0-9_:]*)\{(?P<filters>[^{}]*)\}")


@dataclass(frozen=True)
class Target:
    """A query of a panel.

    Attributes:
        dashboard: Name of the dashboard's file.
        panel: Title of the panel.
        place: Letter of the query in its panel.
        expression: PromQL with variables.
        legend: Name of its series.
        instant: Whether the panel has the newest value only.
    """

    dashboard: str
    panel: str
    place: str
    expression: str
    legend: str
    instant: bool

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel} {self.place}"

    @property
    def selectors(self) -> list[tuple[str, str]]:
        """The metrics with their filters."""
        return [(found["metric"], found["filters"]) for found in SELECTOR.finditer(self.expression)]


@functools.cache
def read_dashboards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}


def find_targets() -> list[Target]:
    """Return the queries of all dashboards."""
    return [target for name, dashboard in read_dashboards().items() for target in _targets(name, dashboard)]


def _targets(name: str, dashboard: Mapping[str, Any]) -> Iterator[Target]:
    for panel in dashboard["panels"]:
        for one in panel.get("targets", ()):
            yield Target(name, panel["title"], one["refId"], one["expr"], one["legendFormat"], one["instant"])


def fill_in(text: str, values: Mapping[str, str]) -> str:
    """Return a text with the values of variables, as Grafana replaces them.

    Raises:
        KeyError: A variable has no value.
    """
    return re.sub(r"\$(\w+)", lambda found: values[found[1]], text)
