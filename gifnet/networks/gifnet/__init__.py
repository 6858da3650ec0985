"""The network in pure tensors: a file per stage, named as in the paper."""

from .config import Branch, GIFNetConfig
from .model import GIFNet

__all__ = ["Branch", "GIFNet", "GIFNetConfig"]
