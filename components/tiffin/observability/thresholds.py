"""When alerts fire: thresholds, durations and severities."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from tiffin.errors import InputError, did_you_mean

AlertName = Literal[
    "TiffinErrors", "TiffinLatency", "TiffinNoTraffic", "TiffinDrift", "TiffinDecay", "TiffinMonitoringStopped",
    "TiffinRecorderDropping",
]  # fmt: skip
ALERTS: tuple[AlertName, ...] = get_args(AlertName)
_URGENT = ("TiffinErrors",)
_SEVERITY = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_DURATION = re.compile(r"([1-9][0-9]{0,4})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
# Prometheus keeps no more, and computes with no more than 292 years.
_MOST_SECONDS = 366 * 86_400


@dataclass(frozen=True)
class Thresholds:
    """When alerts fire.

    Attributes:
        max_error_share: Share of failed requests that is allowed, from 0 and below 1.
        min_errors: Least number of failed requests in 5 minutes, so that one of two requests is no alert.
        max_p99_seconds: 99th percentile of the latency that is allowed, in seconds; 0 for any.
        no_traffic_for: Time without a request, such as `1h`; empty for any.
        monitoring_every: Time between two runs of the monitoring, such as `24h`.
        max_dropped_share: Share of the requests that the prediction log may lack, from 0 and below 1.
        severities: Name of an alert to its severity, of those that have another one than usual.
    """

    max_error_share: float = 0.01
    min_errors: int = 5
    max_p99_seconds: float = 1.0
    no_traffic_for: str = "1h"
    monitoring_every: str = "24h"
    max_dropped_share: float = 0.01
    severities: Mapping[str, str] = field(default_factory=dict)

    def find_severity(self, alert: AlertName) -> str:
        """Return the severity of an alert: by default `critical` of errors, and `warning` of all others."""
        return self.severities.get(alert) or ("critical" if alert in _URGENT else "warning")


def check_thresholds(thresholds: Thresholds) -> None:
    """Raise an InputError unless all thresholds are in their ranges."""
    for name in ("max_error_share", "max_dropped_share"):
        share = getattr(thresholds, name)
        if not 0 <= share < 1:
            raise InputError(f"{name} should be a share from 0 and below 1. Received: {name}={share:g}.")
    if thresholds.min_errors < 1:
        raise InputError(f"min_errors should be at least 1. Received: min_errors={thresholds.min_errors}.")
    if not (thresholds.max_p99_seconds >= 0 and math.isfinite(thresholds.max_p99_seconds)):
        raise InputError(
            f"max_p99_seconds should be a number of seconds, or 0 for any. Received: "
            f"max_p99_seconds={thresholds.max_p99_seconds:g}."
        )
    if thresholds.no_traffic_for:
        parse_duration(thresholds.no_traffic_for, "no_traffic_for")
    parse_duration(thresholds.monitoring_every, "monitoring_every")
    for alert, severity in thresholds.severities.items():
        if alert not in ALERTS:
            raise InputError(
                f"severity should be of one of: {', '.join(ALERTS)}. Received: '{alert}'.{did_you_mean(alert, ALERTS)}"
            )
        if not _SEVERITY.fullmatch(severity):
            raise InputError(
                "A severity should be lower-case letters, digits, '_' and '-', such as critical. Received: "
                f"{alert}={severity!r}."
            )


def parse_duration(text: str, name: str) -> int:
    """Return a duration in seconds.

    Args:
        text: A number and its unit: s, m, h or d.
        name: Name of the parameter, for the error.

    Raises:
        InputError: It is no such duration, or longer than 366 days.
    """
    found = _DURATION.fullmatch(text)
    seconds = int(found[1]) * _SECONDS[found[2]] if found else 0
    if not 0 < seconds <= _MOST_SECONDS:
        raise InputError(
            f"{name} should be a number of s, m, h or d, such as 30m or 24h, up to 366d. Received: {name}='{text}'."
        )
    return seconds
