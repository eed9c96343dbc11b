"""Compare two interfaces of a component, and compute the lowest version that the changes require.

Versions follow semver. Before 1.0.0 a breaking change raises the second number, any other the third; from 1.0.0 on, a
breaking change raises the first number, any other the second.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_BREAKS_NOTHING = {"input added, optional", "input made optional", "output added", "component added"}


@dataclass(frozen=True)
class Change:
    """One difference between two interfaces.

    Attributes:
        what: Kind of the change, such as `input removed`.
        name: Name of the input, output or component.
        before: Type or default before the change; may be empty.
        after: Type or default after the change; may be empty.
    """

    what: str
    name: str
    before: str = ""
    after: str = ""

    @property
    def is_breaking(self) -> bool:
        """Whether an existing pipeline may fail or behave differently."""
        return self.what not in _BREAKS_NOTHING

    def __str__(self) -> str:
        values = f" ({self.before} -> {self.after})" if self.before or self.after else ""
        return f"{self.what}: {self.name}{values}"


def compare_interfaces(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """Return the differences between two interfaces.

    A changed default is a breaking change: pipelines that do not pass the input behave differently.

    Args:
        before: Old interface, as `Interface.to_json` returns it.
        after: New interface, in the same format.
    """
    changes = []
    for name in sorted({*before["inputs"], *after["inputs"]}):
        old, new = before["inputs"].get(name), after["inputs"].get(name)
        if new is None:
            changes.append(Change("input removed", name))
        elif old is None:
            changes.append(Change("input added, optional" if "default" in new else "input added, required", name))
        elif old["type"] != new["type"]:
            changes.append(Change("input of another type", name, old["type"], new["type"]))
        elif "default" in old and "default" not in new:
            changes.append(Change("input made required", name))
        elif "default" not in old and "default" in new:
            changes.append(Change("input made optional", name))
        elif old != new:
            changes.append(Change("input with another default", name, repr(old["default"]), repr(new["default"])))
    for name in sorted({*before["outputs"], *after["outputs"]}):
        was, now = before["outputs"].get(name), after["outputs"].get(name)
        if now is None:
            changes.append(Change("output removed", name))
        elif was is None:
            changes.append(Change("output added", name))
        elif was != now:
            changes.append(Change("output of another type", name, was, now))
    return changes


def required_version(before: str, changes: Iterable[Change]) -> str:
    """Return the lowest version that these changes may be released as.

    Args:
        before: Version before the changes, such as `0.1.0`.
        changes: Result of `compare_interfaces`. Without any, `before` is returned.
    """
    changes = list(changes)
    major, minor, patch = parse_version(before)
    if not changes:
        return before
    breaking = any(change.is_breaking for change in changes)
    if major == 0:
        return f"0.{minor + 1}.0" if breaking else f"0.{minor}.{patch + 1}"
    return f"{major + 1}.0.0" if breaking else f"{major}.{minor + 1}.0"


def parse_version(version: str) -> tuple[int, int, int]:
    """Return the three numbers of a version, for comparison."""
    major, minor, patch = (int(part) for part in version.split("."))
    return major, minor, patch


def find_shortfall(
    released: Mapping[str, Any], since: str, interfaces: Mapping[str, Any], version: str
) -> tuple[str, list[str]]:
    """Return the version that the changes since a release require, and the changes, if `version` is lower.

    Args:
        released: Interfaces of the release by component, as `Interface.to_json` returns them.
        since: Version of the release.
        interfaces: Current interfaces by component, in the same format.
        version: Current version.

    Returns:
        The required version and one line per change; `version` and no lines if it is high enough.
    """
    nothing: dict[str, Any] = {"inputs": {}, "outputs": {}}
    changes: list[tuple[str, Change]] = []
    for name in sorted({*released, *interfaces}):
        if name not in interfaces:
            changes.append((name, Change("component removed", name)))
        elif name not in released:
            changes.append((name, Change("component added", name)))
        else:
            found = compare_interfaces({**nothing, **released[name]}, {**nothing, **interfaces[name]})
            changes += [(name, change) for change in found]
    needed = required_version(since, [change for _, change in changes])
    if parse_version(version) >= parse_version(needed):
        return version, []
    return needed, [
        f"{name}: {'BREAKS pipelines' if change.is_breaking else 'breaks nothing'}: {change}"
        for name, change in changes
    ]
