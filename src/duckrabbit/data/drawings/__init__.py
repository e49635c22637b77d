"""Captioned colour drawings: built from freely licensed packages, read back for training and judging."""
