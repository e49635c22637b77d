"""Training the stages of a cascade."""
