"""Aligning two images of one scene that were taken by differing sensors: ``gifnet.align``."""

from .estimate import MIN_CONFIDENCE, align, align_pictures
from .transform import MOTIONS, Alignment, Motion

__all__ = ["MIN_CONFIDENCE", "MOTIONS", "Alignment", "Motion", "align", "align_pictures"]
