"""How good a model of drawings is."""
