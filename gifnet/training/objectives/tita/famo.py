"""FAMO, fast adaptive multitask optimisation (Liu et al., NeurIPS 2023), which balances TITA's tasks.

The tasks' weights are the softmax of learned logits. The network descends on the weighted logarithms of the losses;
then the losses are computed again on the same batch, and the logits move so that tasks that gained less weigh more.
"""

import torch
from torch import Tensor

from .recipe import FAMOConfig

EPSILON = 1e-8  # added to losses


class FAMO:
    """The tasks' logits and their optimiser. The caller saves and restores both."""

    def __init__(self, tasks: int, config: FAMOConfig, device: torch.device) -> None:
        self.logits = torch.zeros(tasks, device=device, requires_grad=True)
        self.optimiser = torch.optim.Adam([self.logits], lr=config.rate, weight_decay=config.decay)

    def weights(self) -> Tensor:
        """Of the tasks, summing to 1; without gradient."""
        return self.logits.detach().softmax(dim=0)

    def loss(self, losses: Tensor) -> Tensor:
        """What the network descends on, of the tasks' losses (T,): Σ z·log(ℓ + ε) / c, c = Σ z / (ℓ + ε) held constant.

        Its gradient is the mean of the losses' own gradients, weighted by z / ℓ.
        """
        weights, losses = self.weights(), losses + EPSILON
        scale = (weights / losses.detach()).sum()
        return (weights * losses.log()).sum() / scale

    def update(self, before: Tensor, after: Tensor) -> None:
        """Move the logits by the tasks' losses (T,) of one batch, before and after the network's step."""
        gain = (before.detach() + EPSILON).log() - (after.detach() + EPSILON).log()
        (self.logits.grad,) = torch.autograd.grad((self.logits.softmax(dim=0) * gain).sum(), self.logits)
        self.optimiser.step()
