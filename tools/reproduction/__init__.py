"""The paper's tables and figures: what they need, and what came of it."""
