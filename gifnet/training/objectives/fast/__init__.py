"""How the fast network is trained: from GIFNet's results, and from the truth where there is one."""

from .objective import FastObjective
from .recipe import FastRecipe

__all__ = ["FastObjective", "FastRecipe"]
