"""GIFNet's training steps, from a batch to its losses.

The paper's two alternate: each trains the shared parts and its own task's branch as the main one. The others run the
network as inference does: for infrared-visible pairs and focus pairs, for all tasks at once, and for enhancing.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ....networks.gifnet import Branch, GIFNet
from ...losses import LossConfig, Phi, detail_energy, exposure_loss, multi_modal_loss, photography_loss, public_loss
from ...tasks import EXPOSURE, MODAL, EnhanceBatch, TaskBatch


class Planes(NamedTuple):
    """An iteration's images, (B, 1, H, W) in [0, 1]; ``near`` and ``far`` were made from ``sharp``."""

    infrared: Tensor
    visible: Tensor
    near: Tensor
    far: Tensor
    sharp: Tensor


@dataclass(frozen=True)
class StepLosses:
    """Scalars of one step: L_pub of REC's output, if it has a part, and the fused plane's own weighted loss."""

    public: Tensor | None
    fusion: Tensor

    @property
    def total(self) -> Tensor:
        return self.fusion if self.public is None else self.public + self.fusion


def decode(model: GIFNet, shared: Tensor, gated: Tensor) -> Tensor:
    """The fused planes (B, 1, H, W), in float32 even under autocast.

    In bfloat16 the decoder's activations, tens in size, are too coarse for a level of 255: it then learns a mapping
    with kinks, which show as specks.
    """
    with torch.autocast(shared.device.type, enabled=False):
        fused: Tensor = model.decoder(shared.float(), gated.float())
    return fused


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
    return decode(model, shared, gated), model.reconstruction(shared).float()


def multi_modal_step(
    model: GIFNet, planes: Planes, mixed: Tensor, config: LossConfig, phi: Phi = detail_energy
) -> StepLosses:
    """MM main on (ir, vis), DP auxiliary on (nf, ff).

    ``mixed`` (B,), boolean, says which of the pairs are near- and far-focused ones instead, fused to ``sharp``: that
    makes MM a main branch for every task. The paper has none.
    """
    pair = mixed_pairs(planes, mixed)
    fused, reconstructed = run_networks(model, pair, (planes.near, planes.far), "mm")
    public = public_loss(reconstructed, torch.where(mixed[:, None, None, None], planes.sharp, planes.visible))
    return StepLosses(public, mixed_loss(fused, planes, mixed, config, phi))


def photography_step(model: GIFNet, planes: Planes, config: LossConfig) -> StepLosses:
    """DP main on (nf, ff), MM auxiliary on (ir, vis)."""
    infrared, visible, near, far, sharp = planes
    fused, reconstructed = run_networks(model, (near, far), (infrared, visible), "dp")
    return StepLosses(public_loss(reconstructed, sharp), config.photography * photography_loss(fused, sharp, config))


def fusion_step(
    model: GIFNet,
    planes: Planes,
    mixed: Tensor,
    config: LossConfig,
    phi: Phi = detail_energy,
    decoder_only: bool = False,
) -> StepLosses:
    """The network as inference runs it: both branches see the same pair, and the configured one is main.

    REC has no part, the auxiliary branch gets no gradient, and with ``decoder_only`` nothing but G-Dec does. ``mixed``
    is as for ``multi_modal_step``.
    """
    fused = run_as_inference(model, *mixed_pairs(planes, mixed), model.config.main, decoder_only)
    return StepLosses(None, mixed_loss(fused, planes, mixed, config, phi))


def mixed_pairs(planes: Planes, mixed: Tensor) -> tuple[Tensor, Tensor]:
    """(nf, ff) where ``mixed``, (ir, vis) elsewhere."""
    chosen = mixed[:, None, None, None]
    return torch.where(chosen, planes.near, planes.infrared), torch.where(chosen, planes.far, planes.visible)


def mixed_loss(fused: Tensor, planes: Planes, mixed: Tensor, config: LossConfig, phi: Phi) -> Tensor:
    """The photography loss where ``mixed``, the multi-modal loss elsewhere, by their shares of the batch."""
    infrared, visible, _, _, sharp = planes
    loss = fused.new_zeros(())
    if not mixed.all():
        modal = multi_modal_loss(fused[~mixed], infrared[~mixed], visible[~mixed], config, phi)
        loss = loss + config.multi_modal * modal * (~mixed).float().mean()
    if mixed.any():
        photography = photography_loss(fused[mixed], sharp[mixed], config)
        loss = loss + config.photography * photography * mixed.float().mean()
    return loss


def run_as_inference(model: GIFNet, a: Tensor, b: Tensor, main: Branch, decoder_only: bool) -> Tensor:
    """The fused planes (B, 1, H, W), float32: both branches see the same pair; only the main one gets a gradient.

    With ``decoder_only``, G-Dec alone does.
    """
    with torch.set_grad_enabled(not decoder_only):
        shared = model.encoder(torch.cat([a, b], dim=1))
        gated = model.cfgm(shared, shared, main)
    return decode(model, shared, gated)


def task_step(
    model: GIFNet, batch: TaskBatch, config: LossConfig, phi: Phi = detail_energy, decoder_only: bool = False
) -> dict[str, Tensor]:
    """Pairs of all tasks, fused as inference does: the loss of each task that the batch holds, by its name.

    Their shares of the batch weigh them; the sum is to be minimised.
    """
    fused = run_as_inference(model, batch.a, batch.b, model.config.main, decoder_only)
    losses = {}
    for name, chosen in (
        ("modal", batch.task == MODAL),
        ("exposure", batch.task == EXPOSURE),
        ("focus", (batch.task != MODAL) & (batch.task != EXPOSURE)),
    ):
        if not chosen.any():
            continue
        share, of = chosen.float().mean(), (fused[chosen], batch.a[chosen], batch.b[chosen])
        if name == "modal":
            loss = config.multi_modal * multi_modal_loss(*of, config, phi)
        elif name == "exposure":
            loss = config.exposure * exposure_loss(*of, config)
        else:
            loss = config.photography * photography_loss(fused[chosen], batch.target[chosen], config)
        losses[name] = share * loss
    return losses


def enhance_step(
    model: GIFNet, batch: EnhanceBatch, config: LossConfig, decoder_only: bool = False
) -> dict[str, Tensor]:
    """Photographs enhanced as inference does, by the branch that enhances."""
    main = model.config.enhance_main or model.config.main
    fused = run_as_inference(model, batch.x, batch.x, main, decoder_only)
    return {"enhance": config.enhance * config.photography * photography_loss(fused, batch.target, config)}
