"""Training models of digits."""
