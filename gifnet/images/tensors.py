"""Pictures of torch tensors (C×H×W or B×C×H×W)."""

from functools import partial

import torch
from torch import Tensor

from ..errors import InputError
from ..files.metadata import Metadata
from .levels import joined, quantise
from .picture import Picture, UnscaledPicture, picture_of, result_dtype


def from_tensor(tensor: Tensor, name: str) -> Picture | UnscaledPicture:
    shape = tuple(tensor.shape)
    if tensor.ndim not in (3, 4) or shape[-3] not in (1, 3, 4):
        hint = "; it looks like H×W×C: permute it" if tensor.ndim == 3 and shape[-1] in (1, 3, 4) else ""
        raise InputError(f"{name}: tensor of shape {shape}; give C×H×W or B×C×H×W with C 1, 3 (RGB) or 4 (RGBA){hint}")
    if 0 in shape:
        raise InputError(f"{name}: empty tensor of shape {shape}")
    if tensor.layout != torch.strided:
        raise InputError(f"{name}: {tensor.layout} tensor; give a dense one")
    planes = tensor if tensor.ndim == 4 else tensor[None]
    packer = partial(pack_tensor, device=tensor.device, flat=tensor.ndim == 3)
    dtype = result_dtype(tensor.dtype)
    colours = 1 if planes.shape[1] == 1 else 3
    return picture_of(planes, colours, name=name, packer=packer, dtype=dtype, planar=True)


def pack_tensor(
    pixels: Tensor, alpha: Tensor | None, dtype: torch.dtype, _: Metadata, device: torch.device, flat: bool
) -> Tensor:
    packed = quantise(joined(pixels, alpha), dtype).to(device)
    return packed[0] if flat and len(packed) == 1 else packed
