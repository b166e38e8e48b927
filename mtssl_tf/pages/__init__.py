"""Pages about what was trained, made from the files that it left."""
