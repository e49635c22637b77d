"""Training: data, objectives, recipes, and a loop that can be killed at any moment."""
