"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025)."""

__version__ = "0.1.0"
