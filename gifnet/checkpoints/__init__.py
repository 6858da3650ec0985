"""Weights: their file format, and where they come from."""
