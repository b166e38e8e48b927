"""What training would make of a user's data, found within a minute."""
