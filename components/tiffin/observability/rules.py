"""Rule files of Prometheus for models in production: recording rules, and the alerts on them.

The same models and thresholds give the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from tiffin.gateway.clusters import OTHERS
from tiffin.observability import expressions
from tiffin.observability.alerts import Alert, make_alerts, make_shared_alerts
from tiffin.observability.expressions import SOURCES, Source
from tiffin.observability.thresholds import Thresholds, check_thresholds
from tiffin.tracking.names import check_model_name

_SHARED = "tiffin-shared"


@dataclass(frozen=True)
class Record:
    """A recording rule.

    Attributes:
        name: Name of the series.
        expression: PromQL.
        labels: Labels that it gets: `source`, and the model if it is of one.
    """

    name: str
    expression: str
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Group:
    """Rules that are evaluated one after the other.

    Attributes:
        name: Its name, of which a file has one.
        records: Recording rules, evaluated first.
        alerts: Alert rules.
    """

    name: str
    records: tuple[Record, ...]
    alerts: tuple[Alert, ...]


def make_rules(models: Iterable[str] = (), thresholds: Thresholds | None = None) -> tuple[Group, ...]:
    """Return the rules of models in production.

    Args:
        models: Names of the models, each once. Defaults to none: rules for every model that Prometheus has.
        thresholds: When alerts fire. Defaults to the usual ones.

    Returns:
        A group for each model, or one for all of them, and one for what is about no single model.

    Raises:
        InputError: A name is no model's, or a threshold is not in its range.
    """
    limits = thresholds or Thresholds()
    check_thresholds(limits)
    names = sorted(set(models))
    for name in names:
        check_model_name(name)
    groups = [Group(f"tiffin-{name}", _records(name, SOURCES), tuple(make_alerts(name, limits))) for name in names]
    if not names:
        groups.append(Group("tiffin-models", _records("", SOURCES), tuple(make_alerts("", limits))))
    # Rules for all models also record the requests of those that share a label.
    shared = _records(OTHERS, ("gateway",)) if names else ()
    return (*groups, Group(_SHARED, shared, tuple(make_shared_alerts(limits))))


def _records(model: str, sources: Sequence[Source]) -> tuple[Record, ...]:
    figures = {
        expressions.REQUESTS: expressions.find_requests,
        expressions.ERRORS: expressions.find_errors,
        expressions.ERROR_SHARE: expressions.find_share,
        expressions.P99: expressions.find_p99,
    }
    own = {"model": model} if model else {}
    return tuple(
        Record(name, find(source, model), {"source": source, **own})
        for source in sources
        for name, find in figures.items()
    )


def format_rules(groups: Sequence[Group]) -> str:
    """Return a rule file of Prometheus, as YAML."""
    return _dump(_to_yaml(groups))


def format_operator_rules(groups: Sequence[Group], name: str = "tiffin") -> str:
    """Return a PrometheusRule of the Prometheus Operator, as YAML.

    Args:
        groups: The rules.
        name: Name of the object. Defaults to `tiffin`.
    """
    return _dump(
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {"name": name, "labels": {"app.kubernetes.io/part-of": "tiffin"}},
            "spec": _to_yaml(groups),
        }
    )


def _to_yaml(groups: Sequence[Group]) -> dict[str, Any]:
    return {"groups": [{"name": group.name, "rules": list(_rules(group))} for group in groups]}


def _rules(group: Group) -> Iterator[dict[str, Any]]:
    for record in group.records:
        yield {"record": record.name, "expr": record.expression, "labels": dict(record.labels)}
    for alert in group.alerts:
        yield {
            "alert": alert.name,
            "expr": alert.expression,
            "for": alert.hold,
            "labels": {"severity": alert.severity, **alert.labels},
            "annotations": {"summary": alert.summary, "description": alert.description},
        }


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent)


def _dump(value: dict[str, Any]) -> str:
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=80)
    return text
