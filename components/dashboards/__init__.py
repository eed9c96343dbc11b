"""Writes the Grafana dashboards of manifests/options/monitoring. Needs the environment `dev`; not in the wheel."""
