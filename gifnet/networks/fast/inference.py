"""The fast network's inference forms: it is local, so tiles with their surroundings give the pixels of the whole."""

import copy

import torch
from torch import Tensor, nn

from ...execution.local import LocalForm
from .config import FastConfig
from .model import GRID, NEIGHBOURHOOD, FastNetwork


def halo(config: FastConfig) -> int:
    """How many pixels around it, at most, a pixel of the result depends on."""
    half = 2 * config.half_layers + 2  # convolutions at half resolution, with the first and the last
    quarter, eighth = config.quarter_layers, config.eighth_layers
    # A convolution reaches one pixel of its resolution on; one that halves it, one of the finer resolution; doubling
    # it, one of the coarser.
    reach = 2 * half + 2 + 4 * quarter + 4 + 8 * eighth + 8 + 4
    reach += GRID  # where in its 8x8 pixels the one in question lies
    return max(reach, 2 * (NEIGHBOURHOOD // 2 + 2))


def values(config: FastConfig) -> int:
    """How many values a pixel keeps at once, at most: maps at half resolution, and planes at the full one."""
    return config.half + config.quarter // 4 + 12


class _Enhancing(nn.Module):
    """As a network of two planes, of which it enhances the first."""

    def __init__(self, network: FastNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, _: Tensor) -> Tensor:
        return self.network.enhance(x)


def inference_form(network: FastNetwork, dtype: torch.dtype) -> LocalForm:
    """That fuses."""
    return _form(_laid_out(network), network.config, dtype)


def enhancing_form(network: FastNetwork, dtype: torch.dtype) -> LocalForm:
    """That enhances the first of two planes."""
    return _form(_Enhancing(_laid_out(network)), network.config, dtype)


def _form(network: nn.Module, config: FastConfig, dtype: torch.dtype) -> LocalForm:
    # Planes stay in float32 while the features are computed in less: what is chosen is chosen as it is.
    return LocalForm(network, dtype, halo(config), values(config), GRID, planes=torch.float32)


def _laid_out(network: FastNetwork) -> FastNetwork:
    """A copy whose weights lie as its features do, channels last."""
    return copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
