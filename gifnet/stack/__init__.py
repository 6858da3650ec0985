"""Stacks of more than two images, focus stacks and exposure brackets: ``alignment``, then ``composition``."""
