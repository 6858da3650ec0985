"""Aligning two images of one scene that were taken by differing sensors: ``gifnet.align``."""

from ...options.values import MOTIONS, Motion
from .estimate import MIN_CONFIDENCE, align, align_pictures
from .transform import Alignment

__all__ = ["MIN_CONFIDENCE", "MOTIONS", "Alignment", "Motion", "align", "align_pictures"]
