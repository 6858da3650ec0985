"""The networks, a folder each, and the registry that the rest of the package knows them by."""

from . import gifnet, tita, fast  # noqa: F401, I001  # each registers itself, in the order in which they are listed
from .registry import Architecture, Converter, register, registered, unregister

__all__ = ["Architecture", "Converter", "register", "registered", "unregister"]
