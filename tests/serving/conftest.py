"""Settings of Hypothesis for these tests."""

import hypothesis

# A busy machine is slow now and then; pytest's timeout ends what hangs.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
