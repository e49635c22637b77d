"""How good a model of digits is."""
