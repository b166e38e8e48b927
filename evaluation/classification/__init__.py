"""Classification from a trunk with frozen weights."""
