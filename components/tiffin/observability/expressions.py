"""PromQL of the rules: requests, failed requests and latencies of a model, as the gateway and as the model servers count them.

Envoy counts what clients get, by model only while the model has a candidate: all other models share the label `*`, see
`tiffin.gateway.clusters`. The model servers count by model always, but also copies of requests, and nothing that did not reach
them. So each figure is recorded by `source`, and alerts take that of the gateway where there is one.
"""

from typing import Literal

# Of rates, also in the names of the recorded series.
WINDOW, WINDOW_SECONDS = "5m", 300
# Series of two sources are about the same model if these labels are equal. There is no namespace outside a cluster.
OF = "namespace, model"

Source = Literal["gateway", "servers"]
SOURCES: tuple[Source, ...] = ("gateway", "servers")
REQUESTS, ERRORS = "model:tiffin_requests:rate5m", "model:tiffin_errors:rate5m"
ERROR_SHARE, P99 = "model:tiffin_error_share:ratio_rate5m", "model:tiffin_latency_seconds:p99_5m"

_COUNT, _LATENCY = ":tensorflow:serving:request_count", ":tensorflow:serving:request_latency_bucket"
_ENVOY = "envoy_cluster_"


def quote(text: str) -> str:
    """Return a text as a string of PromQL."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'"{escaped}"'


def select(name: str, *matchers: str) -> str:
    """Return a selector: the name of a metric and the matchers that are not empty."""
    chosen = ",".join(filter(None, matchers))
    return f"{name}{{{chosen}}}" if chosen else name


def match(label: str, value: str) -> str:
    """Return the matcher of a label's value; empty for an empty one."""
    return f"{label}={quote(value)}" if value else ""


def match_model(model: str, label: str = "model") -> str:
    """Return the matcher of a model; empty for all of them."""
    return match(label, model)


def find_requests(source: Source, model: str) -> str:
    """Return the requests per second of clients.

    Args:
        source: Who counts them.
        model: Name of the model; empty for all.
    """
    if source == "servers":
        return _sum_servers(model)
    return _sum_gateway(
        model,
        {
            "grpc_success": 'protocol="grpc"',
            "grpc_failure": 'protocol="grpc"',
            "upstream_rq_xx": 'protocol="rest"',
            "upstream_rq_cancelled": "",
            "upstream_rq_tx_reset": "",
        },
    )


def find_errors(source: Source, model: str) -> str:
    """Return the failed requests per second; 0 where there are requests and none fails."""
    if source == "servers":
        failed = _sum_servers(model, 'status!="OK"')
    else:
        failed = _sum_gateway(
            model,
            {
                "grpc_failure": 'protocol="grpc"',
                "upstream_rq_xx": 'protocol="rest",envoy_response_code_class!="2"',
                "upstream_rq_cancelled": "",
                "upstream_rq_tx_reset": "",
            },
        )
    none = select(REQUESTS, match("source", source), match_model(model))
    return f"{failed}\nor on ({OF})\n  0 * {none}"


def find_share(source: Source, model: str) -> str:
    """Return the share of the requests that fail, from 0 to 1; NaN without requests."""
    matchers = (match("source", source), match_model(model))
    return f"{select(ERRORS, *matchers)}\n/ on ({OF}, source)\n{select(REQUESTS, *matchers)}"


def find_p99(source: Source, model: str) -> str:
    """Return the 99th percentile of the latency in seconds; NaN without requests."""
    if source == "servers":
        selected, unit = select(_LATENCY, _servers(model)), "1e6"
        inner = _named(selected, "    ")
    else:
        selected, unit = select(f"{_ENVOY}upstream_rq_time_bucket", *_gateway(model)), "1e3"
        inner = f"rate({selected}[{WINDOW}])"
    return f"histogram_quantile(0.99,\n  sum by ({OF}, le) (\n    {inner}\n  )\n) / {unit}"


def choose(record: str, model: str, more: str = "") -> str:
    """Return a recorded figure of the gateway where it has the model, and of the model servers elsewhere.

    Args:
        record: Name of the recorded series.
        model: Name of the model; empty for all.
        more: Another matcher; empty for none.
    """
    gateway, servers = (select(record, match("source", source), match_model(model), more) for source in SOURCES)
    return f"(\n  {gateway}\n  or on ({OF})\n  {servers}\n)"


def _sum_servers(model: str, *matchers: str) -> str:
    selected = select(_COUNT, _servers(model), *matchers)
    return f"sum by ({OF}) (\n  {_named(selected, '  ')}\n)"


def _named(selected: str, indent: str) -> str:
    """Return the rate of a counter of the model servers, with the label `model`."""
    return f'label_replace(\n{indent}  rate({selected}[{WINDOW}]),\n{indent}  "model", "$1", "model_name", "(.*)"\n{indent})'


def _servers(model: str) -> str:
    # Versions that a rollback left have names such as `taxi@3`, and the development server counts wrong names as `(other)`.
    return match_model(model, "model_name") or 'model_name!~".*@.*|\\\\(other\\\\)"'


def _gateway(model: str) -> tuple[str, ...]:
    # Clients do not get the answers to copies.
    return match_model(model) or 'model!=""', 'route!="mirror"'


def _sum_gateway(model: str, parts: dict[str, str]) -> str:
    # The label keeps the parts apart, which have the same labels otherwise, so that a part without series is left out.
    rates = [
        f"label_replace(\n    rate({select(_ENVOY + name, *_gateway(model), matcher)}[{WINDOW}]),\n"
        f'    "part", "{name}", "", ""\n  )'
        for name, matcher in parts.items()
    ]
    return f"sum by ({OF}) (\n  " + "\n  or ".join(rates) + "\n)"
