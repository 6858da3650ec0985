"""The paper's released checkpoint, renamed to gifnet's own layout.

This is the one place that reads a pickle, and it does so through ``torch.load(weights_only=True)``.
"""

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...errors import CheckpointError
from . import GIFNet, GIFNetConfig

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


def convert_official(path: str | Path) -> GIFNet:
    """Read the paper's checkpoint (a ``torch.save`` file of a state dict) into a GIFNet with DP as main branch.

    The network comes in its plain form, float32, on the CPU, in evaluation mode.

    Raises CheckpointError, naming the file, when it is no such checkpoint: not readable with ``weights_only=True``,
    not a dict of tensors, names missing or unknown, shapes or dtypes that differ, or values that are not finite.
    """
    path = Path(path)
    official = _read_pickle(path)
    with torch.random.fork_rng(devices=[]):  # initial values are drawn, and thrown away
        model = GIFNet(GIFNetConfig(main="dp"))
    modules = _renamed_modules()
    state: dict[str, Tensor] = {}
    for name, own in model.state_dict().items():
        module, _, parameter = name.rpartition(".")
        theirs = _PARAMETERS.get(name) or f"{modules[module]}.{parameter}"
        if theirs not in official:
            raise CheckpointError(f"{path}: not the paper's checkpoint: it has no {theirs!r}")
        value = official.pop(theirs)
        shape = (1,) if name in _PARAMETERS else tuple(own.shape)  # λ is a list of one there
        if tuple(value.shape) != shape or value.dtype != torch.float32 or value.layout != torch.strided:
            raise CheckpointError(
                f"{path}: {theirs} is {value.dtype} {tuple(value.shape)}; the paper's is {torch.float32} {shape}"
            )
        if not value.isfinite().all():
            raise CheckpointError(f"{path}: {theirs} has values that are not finite; weights must be")
        state[name] = value.reshape(own.shape)
    unknown = sorted(official.keys() - _UNUSED)
    if unknown:
        raise CheckpointError(f"{path}: not the paper's checkpoint: it has unknown entries {', '.join(unknown[:3])}")
    model.load_state_dict(state, strict=True)
    return model.eval()


def _read_pickle(path: Path) -> dict[str, Tensor]:
    expected = "give the paper's released .pth file"
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder; {expected}")
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {expected}")
    if _is_safetensors(path):
        raise CheckpointError(f"{path}: a safetensors file, which needs no conversion if gifnet wrote it; {expected}")
    try:
        loaded: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:  # torch's own message advises to turn the safeguard off
        raise CheckpointError(
            f"{path}: not a checkpoint of plain tensors: it is damaged or holds other objects, which are never loaded "
            f"(weights_only=True); {expected}"
        ) from error
    except Exception as error:  # damaged files raise anything from EOFError to RuntimeError
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not readable as a checkpoint ({reason}); {expected}") from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"{path}: a {type(loaded).__name__}, not a state dict of tensors; {expected}")
    for name, value in loaded.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: not a state dict of tensors: its entry {name!r} is a {type(value).__name__}; {expected}"
            )
    return dict(loaded)


def _is_safetensors(path: Path) -> bool:
    """By its content: a length, 8 bytes, and then a JSON object; torch.load would read it too where it is so named."""
    with open(path, "rb") as file:
        return path.suffix == ".safetensors" or file.read(9)[8:] == b"{"
