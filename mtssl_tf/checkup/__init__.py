"""What of a user's data can be trained on, and what that would cost."""
