"""Vectors of pictures, and what people look at them with."""
