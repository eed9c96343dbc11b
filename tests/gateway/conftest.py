RUNS_IN = ("gateway",)
