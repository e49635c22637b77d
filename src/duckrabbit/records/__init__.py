"""Records of runs: read back, and run again."""
