"""Levels, plans, predictions, solvers and the loop: diffusion without a network."""
