"""A GIFNet as a recipe wants to train it: its branches, its head, and layers that start anew."""

from dataclasses import replace

import torch
from torch import nn

from ....networks.gifnet import GIFNet
from .recipe import GIFNetRecipe


def reconfigured(model: GIFNet, recipe: GIFNetRecipe) -> GIFNet:
    """The network with the recipe's branches and head; of another head, the last convolution has new values."""
    chosen = {"main": recipe.main, "enhance_main": recipe.enhance_main, "head": recipe.head}
    config = replace(model.config, **{name: value for name, value in chosen.items() if value != "keep"})  # type: ignore[arg-type]
    if config.head == model.config.head:
        model.config = config
        return model
    other = GIFNet(config)
    last = f"decoder.decode.{len(other.decoder.decode) - 1}."
    kept = {name: value for name, value in model.state_dict().items() if not name.startswith(last)}
    other.load_state_dict({**other.state_dict(), **kept})
    return other


def start_anew(model: GIFNet, layers: int, seed: int) -> None:
    """Give the last ``layers`` convolutions of G-Dec new random values, as a new network has them."""
    convolutions = [module for module in model.decoder.decode if isinstance(module, nn.Conv2d)]
    generator = torch.Generator().manual_seed(seed)
    for convolution in convolutions[len(convolutions) - layers :]:
        nn.init.kaiming_normal_(convolution.weight, generator=generator)
        nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
