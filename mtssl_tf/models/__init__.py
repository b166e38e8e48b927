"""The trunk, the mix of its units, and what they expect and cost."""
