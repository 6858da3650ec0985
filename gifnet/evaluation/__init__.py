"""Measuring fused images, or models, on folders of pairs and on sets of them.

``sources`` finds pairs and their fused images, ``measure`` measures them, ``report`` makes tables of what it found,
and ``figure`` draws it. On the command line this is ``gifnet eval``.
"""

from .figure import plot
from .measure import evaluate_folders, evaluate_sets
from .report import Evaluation, Failure, Score, SetsEvaluation, Summary
from .sources import FusedImages

__all__ = [
    "Evaluation",
    "Failure",
    "FusedImages",
    "Score",
    "SetsEvaluation",
    "Summary",
    "evaluate_folders",
    "evaluate_sets",
    "plot",
]
