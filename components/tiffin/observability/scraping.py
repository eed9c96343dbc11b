"""Files for a Prometheus and an Alertmanager of one's own: what to scrape, the rules, and an example of where alerts go.

prometheus.yml         the jobs; their addresses are in targets/
targets/<job>.json     which Prometheus reads again whenever it changes
rules.yml              see `tiffin.observability.rules`
alertmanager.yml       an example
"""

import json
from collections.abc import Mapping

import yaml

from tiffin.observability.rules import format_rules, make_rules

PROMETHEUS, RULES, ALERTMANAGER, TARGETS = "prometheus.yml", "rules.yml", "alertmanager.yml", "targets"
# Job to the path of its page.
JOBS = {
    "tiffin": "/metrics",
    "tiffin-servers": "/monitoring/prometheus/metrics",
    "tiffin-gateway": "/metrics",
    "tiffin-recorder": "/metrics",
}
_ALERTMANAGER = """\
# An example: alerts go to a webhook, and critical ones to a mailbox as well.
# https://prometheus.io/docs/alerting/latest/configuration
route:
  # One notification for all alerts of a model.
  group_by: [namespace, model]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 12h
  receiver: webhook
  routes:
    - matchers: [severity = critical]
      receiver: mail
      continue: true
    - receiver: webhook
inhibit_rules:
  # Requests that fail are often slow, too.
  - source_matchers: [alertname = TiffinErrors]
    target_matchers: [alertname = TiffinLatency]
    equal: [namespace, model]
receivers:
  - name: webhook
    webhook_configs:
      - url: http://127.0.0.1:9095/alerts
        send_resolved: true
  - name: mail
    email_configs:
      - to: on-call@example.com
        from: alertmanager@example.com
        smarthost: localhost:25
        require_tls: false
        send_resolved: true
"""


def make_targets(addresses: Mapping[str, list[str]]) -> dict[str, bytes]:
    """Return the files of the targets, by their names in the folder `TARGETS`.

    Args:
        addresses: Job, of `JOBS`, to the `host:port` of its pages; a job without any gets an empty list.
    """
    return {
        f"{job}.json": (json.dumps([{"targets": addresses.get(job, [])}], indent=2) + "\n").encode() for job in JOBS
    }


def make_configs(alertmanager: str = "127.0.0.1:9093", interval: str = "15s") -> dict[str, bytes]:
    """Return the other files, by name.

    Args:
        alertmanager: `host:port` of the Alertmanager.
        interval: Time between two scrapes. Defaults to 15 seconds.
    """
    config = {
        "global": {"scrape_interval": interval, "evaluation_interval": interval},
        "rule_files": [RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {"job_name": job, "metrics_path": path, "file_sd_configs": [{"files": [f"{TARGETS}/{job}.json"]}]}
            for job, path in JOBS.items()
        ],
    }
    return {
        PROMETHEUS: yaml.safe_dump(config, sort_keys=False).encode(),
        RULES: format_rules(make_rules()).encode(),
        ALERTMANAGER: _ALERTMANAGER.encode(),
    }
