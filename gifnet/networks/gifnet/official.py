"""The paper's released checkpoint, renamed to gifnet's own layout."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import CheckpointError
from ...execution.context import NothingDrawn
from ..registry import Converter
from .config import GIFNetConfig
from .model import GIFNet

_SWIN = "extractor_multask.SwinTransformerSpecific"
_LAYER = f"{_SWIN}.layer1"


def _renamed_modules() -> dict[str, str]:
    """The paper's name of every module with parameters of its own, by gifnet's."""
    names = {f"encoder.conv{i}": f"getSharedFeatures.conv_{i}.conv2d" for i in (1, 2, 3)}
    for ours, theirs in ((0, 1), (2, 4), (4, 7), (6, 10)):  # their Sequential counts padding layers too
        names[f"reconstruction.{ours}"] = f"decoder_rec.decoder.{theirs}"
        names[f"decoder.decode.{ours}"] = f"cnnDecoder.decoder.{theirs}"
    for i in (0, 2):
        names[f"decoder.complement.{i}"] = f"cnnDecoder.fuseComplementFeatures.mlp.{i}"
    names["cfgm.embed.mm"] = f"{_SWIN}.patch_embed_ivif.proj"
    names["cfgm.embed.dp"] = f"{_SWIN}.patch_embed_mfif.proj"
    names["cfgm.unembed"] = f"{_SWIN}.patch_unembed.proj.0"
    for i in (0, 1):
        ours_block, theirs_block = f"cfgm.blocks.{i}", f"{_LAYER}.blocks.{i}"
        for j in (0, 2):
            names[f"{ours_block}.position_bias.mlp.{j}"] = f"{theirs_block}.attn.attn.meta.{j}"
        for branch, suffix in (("mm", ""), ("dp", "_mfif")):
            ours_branch = f"{ours_block}.branches.{branch}"
            names[f"{ours_branch}.norm"] = f"{theirs_block}.norm1{suffix}"
            names[f"{ours_branch}.norm.rescale"] = f"{theirs_block}.norm1{suffix}.meta1"
            names[f"{ours_branch}.norm.rebias"] = f"{theirs_block}.norm1{suffix}.meta2"
            names[f"{ours_branch}.query_key"] = f"{theirs_block}.attn.QK{suffix}"
            names[f"{ours_branch}.value"] = f"{theirs_block}.attn.V{suffix}"
            names[f"{ours_branch}.local"] = f"{theirs_block}.attn.conv{suffix}"
            names[f"{ours_branch}.project"] = f"{theirs_block}.attn.proj{suffix}"
            for j in (0, 2):
                names[f"{ours_branch}.mlp.{j}"] = f"{theirs_block}.mlp{suffix}.mlp.{j}"
    return names


_PARAMETERS = {"cfgm.mix.mm": f"{_LAYER}.weights.0", "cfgm.mix.dp": f"{_LAYER}.weights_mfif.0"}
# In the released file, but without effect (the last block's λ) or derived (the offsets).
_UNUSED = {f"{_LAYER}.weights.1", f"{_LAYER}.weights_mfif.1"} | {
    f"{_LAYER}.blocks.{i}.attn.attn.relative_positions" for i in (0, 1)
}


_OWN = ("getSharedFeatures.", "extractor_multask.", "cnnDecoder.", "decoder_rec.")  # beginnings of the paper's names


def recognises(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict is meant to be the paper's: one of its names is."""
    return any(name.startswith(_OWN) for name in state)


def convert(state: Mapping[str, Tensor], file: str) -> GIFNet:
    """The paper's state dict as a GIFNet with DP as main branch, in float32, on the CPU, in evaluation mode.

    Raises CheckpointError, naming the ``file``, for names that are missing or unknown, shapes or dtypes that differ,
    and values that are not finite.
    """
    official = dict(state)
    with NothingDrawn():
        model = GIFNet(GIFNetConfig(main="dp")).float()
    modules = _renamed_modules()
    renamed: dict[str, Tensor] = {}
    for name, own in model.state_dict().items():
        module, _, parameter = name.rpartition(".")
        theirs = _PARAMETERS.get(name) or f"{modules[module]}.{parameter}"
        if theirs not in official:
            raise CheckpointError(f"{file}: not the paper's checkpoint: it has no {theirs!r}")
        value = official.pop(theirs)
        shape = (1,) if name in _PARAMETERS else tuple(own.shape)  # λ is a list of one there
        if tuple(value.shape) != shape or value.dtype != torch.float32 or value.layout != torch.strided:
            raise CheckpointError(
                f"{file}: {theirs} is {value.dtype} {tuple(value.shape)}; the paper's is {torch.float32} {shape}"
            )
        if not value.isfinite().all():
            raise CheckpointError(f"{file}: {theirs} has values that are not finite; weights must be")
        renamed[name] = value.reshape(own.shape)
    unknown = sorted(official.keys() - _UNUSED)
    if unknown:
        raise CheckpointError(f"{file}: not the paper's checkpoint: it has unknown entries {', '.join(unknown[:3])}")
    model.load_state_dict(renamed, strict=True)
    return model.eval()


CONVERTER = Converter(
    "the paper's released .pth file of GIFNet, with tensors named getSharedFeatures.…", recognises, convert
)
