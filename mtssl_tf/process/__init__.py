"""What a process needs of its system: signals, files, memory."""
