"""The files that an export holds, one format a file."""
