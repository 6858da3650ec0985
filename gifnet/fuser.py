"""The facade: owns a network, a device and a precision, and turns images into planes and back."""

import os
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from . import colour
from .device import choose_device, choose_dtype
from .errors import InputError
from .image import ImageLike, read
from .stack import check_alike, fuse_stack

Kind = TypeVar("Kind", bytes, Image.Image, "np.ndarray[Any, Any]", Tensor)


class FusionNetwork(Protocol):
    """What a network must offer: its inference form, a module on planes (B, 1, H, W) -> (B, 1, H, W), all in [0, 1]."""

    def inference_form(self, dtype: torch.dtype) -> nn.Module: ...


class Fuser:
    """A loaded model. Immutable, so several threads may use one at once; ``to`` gives another.

    Made by ``gifnet.load``; see ``gifnet.fuse`` and ``gifnet.enhance`` for what its methods take and give.
    """

    def __init__(
        self,
        network: FusionNetwork,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        name: str = "",
    ) -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.name = name
        self._network = network
        self._fuse_planes: Callable[[Tensor, Tensor], Tensor] = (
            network.inference_form(self.dtype).to(self.device).eval().requires_grad_(False)
        )

    def __repr__(self) -> str:
        return f"Fuser({self.name!r}, device='{self.device}', dtype='{str(self.dtype).removeprefix('torch.')}')"

    def to(self, device: str | torch.device | None = None, dtype: str | torch.dtype = "auto") -> "Fuser":
        """The same model on another device (None: this one) or in another precision ("auto": the device's own)."""
        return Fuser(self._network, self.device if device is None else device, dtype, self.name)

    @overload
    def fuse(self, a: Kind, b: ImageLike, *more: ImageLike) -> Kind: ...
    @overload
    def fuse(self, a: "str | os.PathLike[str]", b: ImageLike, *more: ImageLike) -> Image.Image: ...

    def fuse(self, a: ImageLike, b: ImageLike, *more: ImageLike) -> Any:
        """See ``gifnet.fuse``."""
        if more:
            return fuse_stack((a, b, *more), self._run)
        first, second = read(a, "a"), read(b, "b")
        check_alike(first, second)
        luma_a, chroma_a = colour.split(first.pixels)
        luma_b, chroma_b = colour.split(second.pixels.to(first.pixels.device))
        fused = self._run(luma_a, luma_b)
        alpha = first.alpha if first.alpha is not None else second.alpha
        pixels = colour.merge(fused, colour.mix(chroma_a, chroma_b))
        return first.pack(pixels, None if alpha is None else alpha.to(pixels.device))

    @overload
    def enhance(self, x: Kind, strength: float = 1.0) -> Kind: ...
    @overload
    def enhance(self, x: "str | os.PathLike[str]", strength: float = 1.0) -> Image.Image: ...

    def enhance(self, x: ImageLike, strength: float = 1.0) -> Any:
        """See ``gifnet.enhance``."""
        if not 0 <= strength <= 1:
            raise InputError(f"strength: {strength} is outside 0 (the image as it is) to 1 (fully enhanced)")
        picture = read(x, "x")
        if strength == 0:
            return picture.pack(picture.pixels, picture.alpha)
        luma, chroma = colour.split(picture.pixels)
        enhanced = torch.lerp(luma, self._run(luma, luma), strength)
        return picture.pack(colour.merge(enhanced, chroma), picture.alpha)

    def _run(self, a: Tensor, b: Tensor) -> Tensor:
        """Planes (B, 1, H, W) through the network on its device; the result lies where ``a`` does."""
        with torch.inference_mode():
            fused = self._fuse_planes(a.to(self.device), b.to(self.device))
        return fused.to(a.device).clone()  # an ordinary tensor, not an inference-mode one
