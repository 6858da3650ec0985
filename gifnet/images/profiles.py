"""Pictures of different ICC profiles brought to one, so that equal numbers are equal colours."""

import io
from dataclasses import replace

import numpy as np
import torch
from PIL import Image, ImageCms
from torch import Tensor
from torch.nn.functional import grid_sample

from .picture import Picture, ReadablePicture

_STEPS = 52  # of a table's axes: 0, 5, 10 ... 255, which 8 bits have exactly


class OneProfile:
    """Brings pictures, one after the other, to the profile of the first that shows colour.

    That one's metadata is the result's, see ``PictureInfo.fused_with``. Files without a profile are sRGB. Arrays and
    tensors have no profile, grey has no colours to convert, and what the profile's library refuses stays as it is.
    """

    def __init__(self) -> None:
        self._icc: bytes | None = None  # not known yet

    def __call__(self, picture: ReadablePicture) -> ReadablePicture:
        """The picture in the profile of those before it."""
        if not isinstance(picture, Picture) or not (picture.file or picture.metadata.icc) or not picture.shows_colour():
            return picture
        own = _colour_profile(picture.metadata.icc)
        if self._icc is None:
            self._icc = own
        if own == self._icc:
            return picture
        pixels = converted(picture.pixels, own, self._icc, exact=picture.dtype == torch.uint8)
        return replace(picture, pixels=pixels, metadata=replace(picture.metadata, icc=self._icc))


def _colour_profile(icc: bytes) -> bytes:
    """Empty, which stands for sRGB, for those of grey or inks: they were not of these pixels."""
    return icc if icc[16:20] == b"RGB " else b""


def converted(pixels: Tensor, source: bytes, target: bytes, exact: bool = True) -> Tensor:
    """Pixels (B, 3, H, W) in [0, 1] from one profile to another; empty is sRGB.

    ``exact``: they are levels of 8 bits, and become such. Else they go through a table of 8-bit colours, interpolated.
    """
    try:
        transform = ImageCms.buildTransform(_opened(source), _opened(target), "RGB", "RGB")
        if exact:
            return torch.cat([_by_level(image, transform) for image in torch.split(pixels, 1)])
        return _by_table(pixels, transform)
    except (ImageCms.PyCMSError, OSError):  # a damaged profile: as if there were none
        return pixels


def _opened(icc: bytes) -> ImageCms.ImageCmsProfile:
    return (
        ImageCms.ImageCmsProfile(io.BytesIO(icc)) if icc else ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    )


def _by_level(pixels: Tensor, transform: ImageCms.ImageCmsTransform) -> Tensor:
    """Of one image, (1, 3, H, W)."""
    levels = (pixels[0] * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    image = ImageCms.applyTransform(Image.fromarray(np.ascontiguousarray(levels)), transform)
    assert image is not None
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].to(pixels.device, torch.float32) / 255


def _by_table(pixels: Tensor, transform: ImageCms.ImageCmsTransform) -> Tensor:
    axis = torch.linspace(0, 1, _STEPS, dtype=torch.float32)
    blue, green, red = torch.meshgrid(axis, axis, axis, indexing="ij")
    nodes = torch.stack([red, green, blue]).reshape(1, 3, _STEPS, _STEPS * _STEPS)
    table = _by_level(nodes, transform).reshape(1, 3, _STEPS, _STEPS, _STEPS).to(pixels.device)
    places = pixels.permute(0, 2, 3, 1)[:, None] * 2 - 1  # (B, 1, H, W, 3): x is red, the last axis of the table
    tables = table.expand(len(pixels), -1, -1, -1, -1)
    return grid_sample(tables, places, mode="bilinear", align_corners=True)[:, :, 0].clamp(0, 1)
