"""Tests of tiffin.performance."""

RUNS_IN = ("data",)
