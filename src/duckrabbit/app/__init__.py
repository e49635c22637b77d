"""The command line and the gallery."""
