"""What people hand in: folders, names, patterns and pictures of any kind."""
