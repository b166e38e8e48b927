"""Depth prediction with up-projections on a trunk."""
