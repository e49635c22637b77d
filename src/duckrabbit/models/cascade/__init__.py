"""Text-to-image cascades in the layout of DeepFloyd IF."""
