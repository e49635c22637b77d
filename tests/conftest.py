"""Settings for all tests: hypothesis draws the same examples in every run."""

from hypothesis import settings

settings.register_profile("duckrabbit", derandomize=True, deadline=None, max_examples=40, database=None)
settings.load_profile("duckrabbit")
