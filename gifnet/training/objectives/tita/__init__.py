"""How TITA learns (Hu et al., ICCV 2025): three tasks an iteration, balanced by FAMO."""

from .objective import TITAObjective
from .recipe import TITARecipe

__all__ = ["TITAObjective", "TITARecipe"]
