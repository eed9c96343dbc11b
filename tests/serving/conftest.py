"""Hypothesis settings of these tests."""

import hypothesis

# Examples may be slow on a busy machine; pytest's timeout ends a test that hangs.
hypothesis.settings.register_profile("no deadline", deadline=None)
hypothesis.settings.load_profile("no deadline")
