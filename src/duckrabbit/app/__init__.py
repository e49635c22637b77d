"""The command line, the gallery and the studio."""
