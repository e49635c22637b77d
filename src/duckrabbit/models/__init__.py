"""Models: cards, weights, text, and the stages of a cascade."""
