"""Tests of tiffin.drift."""

RUNS_IN = ("data",)
