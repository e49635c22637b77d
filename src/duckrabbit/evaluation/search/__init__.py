"""A search for illusions that work: which two things, seen through a view, a judge reads both."""
