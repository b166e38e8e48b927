"""What a trained trunk is worth: the paper's three evaluations."""
