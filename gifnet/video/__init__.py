"""Fusing videos, and frames of any source as they come."""
