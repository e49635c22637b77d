"""Guidance trees, views and filters, and the laws they obey."""
