"""Where pictures and videos come from, and what is done to pixels."""
