"""Parts of the PromQL queries: metrics with their filters, rates, and quantiles of histograms.

Every filter is by a variable of the dashboards, see `dashboards.frame`.
"""

import json
from collections.abc import Mapping

# Filters. One model is chosen on most dashboards, and any number on that of the service.
MODEL = 'model="$model"'
MODELS = 'model=~"$model"'
VERSION = 'version=~"$version"'
# Model servers name a model in another label. A version that a rollback left loaded is named `<model>@<version>`.
SERVED = 'model_name=~"($model)(@.*)?"'
SERVED_FILES = 'model_path=~".*/($model)/.*"'
# The gateway counts models without a candidate together, as the model `*`.
ROUTED = 'model=~"$model|[*]"'

_NAMESPACE = 'namespace=~"$namespace"'


def of(metric: str, *filters: str) -> str:
    """Return the selector of a metric in the chosen namespaces.

    Args:
        metric: Name of the metric.
        filters: Further filters, such as `MODEL` or `role="stable"`.
    """
    return f"{metric}{{{','.join((_NAMESPACE, *filters))}}}"


def number_of(metric: str, label: str, values: Mapping[int, str], by: str, *filters: str) -> str:
    """Return a number for the value of a label whose series is 1, while those of the others are 0.

    Args:
        metric: Name of the metric, with the label.
        label: The label.
        values: Number, from 1, to the value of the label.
        by: Labels to keep, separated by commas.
        filters: Further filters.
    """
    parts = (f"{number} * {of(metric, *filters, f'{label}={json.dumps(value)}')}" for number, value in values.items())
    return largest(by, " or ".join(parts))


def rate(selector: str) -> str:
    """Return the increase of a counter per second."""
    return f"rate({selector}[$__rate_interval])"


def total(by: str, expression: str) -> str:
    """Return the sum by some labels, separated by commas; of everything if there are none."""
    return f"sum by ({by}) ({expression})" if by else f"sum({expression})"


def largest(by: str, expression: str) -> str:
    """Return the largest value by some labels: the same figure may come from several pods or from two Prometheus."""
    return f"max by ({by}) ({expression})"


def quantile(share: float, by: str, buckets: str, per_second: float) -> str:
    """Return a quantile of a histogram of times, in seconds.

    Args:
        share: The quantile, from 0 to 1.
        by: Labels to keep, separated by commas; empty for none.
        buckets: Selector of the histogram's buckets.
        per_second: Number of the histogram's units in a second, such as 1000 for milliseconds.
    """
    labels = f"le, {by}" if by else "le"
    return f"(histogram_quantile({share:g}, {total(labels, rate(buckets))}) / {per_second:g})"


def or_zero(part: str, whole: str) -> str:
    """Return a part; 0 while there is a whole without the part: some counters do not exist before their first event."""
    return f"({part} or 0 * {whole})"


def answered(by: str, *filters: str) -> str:
    """Return the requests per second that servers answered the gateway; of gRPC also those that failed."""
    return total(by, rate(of("envoy_cluster_upstream_rq_xx", *filters)))


def failures(by: str, *filters: str) -> dict[str, str]:
    """Return the requests per second at the gateway that failed, by kind: each is 0 while requests are answered."""
    rest = of("envoy_cluster_upstream_rq_xx", *filters, 'protocol="rest"', 'envoy_response_code_class!="2"')
    # Before and after they were sent to a server.
    given_up = (of(f"envoy_cluster_upstream_rq_{name}", *filters) for name in ("cancelled", "tx_reset"))
    whole = answered(by, *filters)

    def part(selector: str) -> str:
        return or_zero(total(by, rate(selector)), whole)

    return {
        "gRPC": part(of("envoy_cluster_grpc_failure", *filters)),
        "REST": part(rest),
        "given up by the client": " + ".join(map(part, given_up)),
    }


def share(part: str, whole: str) -> str:
    """Return the share of a part in a whole; none while the whole is 0."""
    return f"{or_zero(part, whole)} / ({whole} > 0)"
