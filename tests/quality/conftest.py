"""Tests of tiffin.quality."""

RUNS_IN = ("model",)
