"""The two alternating steps: each trains the shared parts and its own task's branch as the main one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..network import Branch, GIFNet
from .losses import LossConfig, multi_modal_loss, photography_loss, public_loss


@dataclass(frozen=True)
class StepLosses:
    """Scalars of one step: L_pub of REC's output, the fused plane's own loss, and their weighted sum."""

    public: Tensor
    fusion: Tensor
    total: Tensor


def run_networks(
    model: GIFNet, main_pair: tuple[Tensor, Tensor], other_pair: tuple[Tensor, Tensor], main: Branch
) -> tuple[Tensor, Tensor]:
    """Fused and reconstructed planes (B, 1, H, W), float32, of ``main_pair``; the auxiliary branch sees ``other_pair``.

    No gradient reaches ``other_pair``'s features nor the auxiliary branch (see ``CFGM``).
    """
    shared = model.encoder(torch.cat(main_pair, dim=1))
    with torch.no_grad():
        auxiliary = model.encoder(torch.cat(other_pair, dim=1))
    gated = model.cfgm(shared, auxiliary, main)
    return model.decoder(shared, gated).float(), model.reconstruction(shared).float()


def multi_modal_step(
    model: GIFNet, infrared: Tensor, visible: Tensor, near: Tensor, far: Tensor, config: LossConfig
) -> StepLosses:
    """MM main on (ir, vis), DP auxiliary on (nf, ff)."""
    fused, reconstructed = run_networks(model, (infrared, visible), (near, far), "mm")
    public, fusion = public_loss(reconstructed, visible), multi_modal_loss(fused, infrared, visible)
    return StepLosses(public, fusion, public + config.multi_modal * fusion)


def photography_step(
    model: GIFNet, infrared: Tensor, visible: Tensor, near: Tensor, far: Tensor, sharp: Tensor, config: LossConfig
) -> StepLosses:
    """DP main on (nf, ff), MM auxiliary on (ir, vis); ``sharp`` is what ``near`` and ``far`` were made from."""
    fused, reconstructed = run_networks(model, (near, far), (infrared, visible), "dp")
    public, fusion = public_loss(reconstructed, sharp), photography_loss(fused, sharp, config)
    return StepLosses(public, fusion, public + config.photography * fusion)
