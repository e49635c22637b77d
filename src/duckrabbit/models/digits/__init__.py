"""Models of handwritten digits."""
