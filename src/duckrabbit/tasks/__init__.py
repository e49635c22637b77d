"""Tasks: what people ask for, as jobs."""
