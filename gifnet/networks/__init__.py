"""The networks, a folder each, and the registry that the rest of the package knows them by."""

from . import gifnet, tita  # noqa: F401  # each registers itself
from .registry import Architecture, Converter, register, registered, unregister

__all__ = ["Architecture", "Converter", "register", "registered", "unregister"]
