"""The norms' statistics: of an image's features, gathered tile by tile."""

from typing import NamedTuple

import torch
from torch import Tensor

from .cfgm import EPSILON


class Statistics(NamedTuple):
    """Mean and deviation of an image's features over all channels and pixels; float64 scalars."""

    mean: Tensor
    deviation: Tensor


class Moments(NamedTuple):
    """Mean and variance of features, to be merged over tiles in float64 (Chan, Golub and LeVeque, 1979)."""

    number: int = 0  # of values
    mean: Tensor = torch.zeros((), dtype=torch.float64)
    squares: Tensor = torch.zeros((), dtype=torch.float64)  # Σ (x - mean)²

    @classmethod
    def of(cls, x: Tensor) -> "Moments":
        """Those of ``x``, any shape; summed in float32 whatever its dtype is."""
        values = x.float()
        mean = values.mean()
        deviation = torch.linalg.vector_norm(values - mean)
        return cls(values.numel(), mean.cpu().double(), deviation.cpu().double().square())

    def merged(self, other: "Moments") -> "Moments":
        """Those of all values of both."""
        total, delta = self.number + other.number, other.mean - self.mean
        squares = self.squares + other.squares + delta**2 * (self.number * other.number / total)
        return Moments(total, self.mean + delta * (other.number / total), squares)

    def statistics(self) -> Statistics:
        """The mean and deviation that the norm uses."""
        return Statistics(self.mean, (self.squares / self.number + EPSILON).sqrt())
