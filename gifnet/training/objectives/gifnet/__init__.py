"""How GIFNet is trained: its settings, steps and objectives."""

from .objective import GIFNetObjective, PaperObjective, TaskObjective
from .recipe import GIFNetRecipe

__all__ = ["GIFNetObjective", "GIFNetRecipe", "PaperObjective", "TaskObjective"]
