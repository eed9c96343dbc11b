"""Compare two statistics artifacts: `python statistics_comparison.py ONE OTHER`, in an environment that can read them.

Prints JSON: `values` is the number of values compared, `relative` the largest relative difference of two numbers, `other`
lists all other differences. The order of equally frequent values, and which of them end a list, is not compared.
"""

import json
import sys
from collections.abc import Iterator
from typing import Any

from google.protobuf.json_format import MessageToDict

from tiffin.artifacts.statistics import read_statistics


def flatten(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        if "rankHistogram" in value:
            value = {**value, "rankHistogram": untie(value["rankHistogram"]["buckets"], "label", "sampleCount")}
        if "topValues" in value:
            value = {**value, "topValues": untie(value["topValues"], "value", "frequency")}
        for name, part in value.items():
            yield from flatten(part, f"{place}.{name}")
    elif isinstance(value, list):
        yield f"{place}.length", len(value)
        for position, part in enumerate(value):
            yield from flatten(part, f"{place}[{position}]")
    else:
        yield place, value


def untie(entries: list[dict[str, Any]], name: str, count: str) -> list[Any]:
    """Return the counts in their order, and the values that are more frequent than the last one, sorted."""
    last = entries[-1][count] if entries else 0
    counts = [entry[count] for entry in entries]
    return [counts, sorted((entry[count], entry.get(name, "")) for entry in entries if entry[count] != last)]


def by_column(artifact: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for dataset in MessageToDict(read_statistics(artifact))["datasets"]:
        for feature in dataset.pop("features", []):
            column = feature.get("name") or "/".join(feature["path"]["step"])
            flat |= dict(flatten(feature, f"{dataset['name']}.{column}"))
        flat |= dict(flatten(dataset, dataset["name"]))
    return flat


def compare(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    largest, differing = 0.0, sorted(set(one) ^ set(other))
    for place in set(one) & set(other):
        mine, theirs = one[place], other[place]
        if isinstance(mine, float) and isinstance(theirs, float):
            largest = max(largest, abs(mine - theirs) / max(abs(mine), abs(theirs), 1e-300))
        elif mine != theirs:
            differing.append(place)
    return {"values": len(one), "relative": largest, "other": differing}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compare(by_column(sys.argv[1]), by_column(sys.argv[2]))) + "\n")
