"""Tests of tiffin.validation."""

RUNS_IN = ("data",)
