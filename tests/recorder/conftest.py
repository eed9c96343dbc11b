"""Tests of the recorder; requires the environment `gateway`, which has Envoy's messages."""

RUNS_IN = ("gateway",)
