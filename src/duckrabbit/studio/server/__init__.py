"""Serving the studio, and guarding it."""
