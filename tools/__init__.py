"""Commands around training; run from a checkout, never imported."""
