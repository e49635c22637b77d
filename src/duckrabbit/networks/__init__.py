"""Networks: from a module to answers."""
