"""The report is written in the environment of the models."""

RUNS_IN = ("model",)
