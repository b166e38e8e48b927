"""Checkpoints of TF-Slim: names, archives, and loading and saving."""
