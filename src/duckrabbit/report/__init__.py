"""Pictures of results, for whoever shows them."""
