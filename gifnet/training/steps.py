"""The two alternating steps: each trains the shared parts and its own task's branch as the main one."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..network import Branch, GIFNet
from .losses import LossConfig, multi_modal_loss, photography_loss, public_loss


class Planes(NamedTuple):
    """An iteration's images, (B, 1, H, W) in [0, 1]; ``near`` and ``far`` were made from ``sharp``."""

    infrared: Tensor
    visible: Tensor
    near: Tensor
    far: Tensor
    sharp: Tensor


@dataclass(frozen=True)
class StepLosses:
    """Scalars of one step: L_pub of REC's output, the fused plane's own weighted loss, and their sum."""

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
    # In bfloat16 the decoder's activations, tens in size, are too coarse for a level of 255: it then learns a mapping
    # with kinks, which show as specks.
    with torch.autocast(shared.device.type, enabled=False):
        fused = model.decoder(shared.float(), gated.float())
    return fused, model.reconstruction(shared).float()


def multi_modal_step(model: GIFNet, planes: Planes, mixed: Tensor, config: LossConfig) -> StepLosses:
    """MM main on (ir, vis), DP auxiliary on (nf, ff).

    ``mixed`` (B,), boolean, says which of the pairs are near- and far-focused ones instead, fused to ``sharp``: that
    makes MM a main branch for every task. The paper has none.
    """
    infrared, visible, near, far, sharp = planes
    chosen = mixed[:, None, None, None]
    pair = torch.where(chosen, near, infrared), torch.where(chosen, far, visible)
    fused, reconstructed = run_networks(model, pair, (near, far), "mm")
    public = public_loss(reconstructed, torch.where(chosen, sharp, visible))
    fusion = public.new_zeros(())
    if not mixed.all():
        modal = multi_modal_loss(fused[~mixed], infrared[~mixed], visible[~mixed], config)
        fusion = fusion + config.multi_modal * modal * (~mixed).float().mean()
    if mixed.any():
        fusion = (
            fusion + config.photography * photography_loss(fused[mixed], sharp[mixed], config) * mixed.float().mean()
        )
    return StepLosses(public, fusion, public + fusion)


def photography_step(model: GIFNet, planes: Planes, config: LossConfig) -> StepLosses:
    """DP main on (nf, ff), MM auxiliary on (ir, vis)."""
    infrared, visible, near, far, sharp = planes
    fused, reconstructed = run_networks(model, (near, far), (infrared, visible), "dp")
    public, fusion = public_loss(reconstructed, sharp), config.photography * photography_loss(fused, sharp, config)
    return StepLosses(public, fusion, public + fusion)
