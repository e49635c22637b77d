"""Who makes what was asked for, and when."""
