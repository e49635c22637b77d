"""Evaluation: a judge of digits, and scores with their uncertainty."""
