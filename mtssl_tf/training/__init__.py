"""From sources and settings to a trained trunk on one machine."""
