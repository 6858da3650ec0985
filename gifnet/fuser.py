"""The facade: owns a network, a device and a precision, and turns images into planes and back."""

import os
from functools import partial
from typing import Any, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .errors import InputError
from .execution.device import choose_device, choose_dtype
from .execution.form import Sink, Source, plane_jobs
from .execution.memory import Memory
from .execution.plan import Tile
from .execution.progress import Progress
from .execution.running import DEFAULT, Execution
from .images import colour
from .images.lazy import ArrayCanvas, LazyPicture
from .images.picture import Picture, PictureInfo, ReadablePicture, check_alike
from .images.profiles import OneProfile
from .images.reading import ImageLike, read
from .networks.gifnet import GIFNet
from .networks.registry import SelfContained, enhancing_form, inference_form
from .prepare.preparation import Align, prepare, prepare_one
from .prepare.resize import Resize
from .prepare.stretch import Stretch
from .regions import Region
from .stack.composition import argument_names, fuse_stack

Kind = TypeVar("Kind", bytes, Image.Image, "np.ndarray[Any, Any]", Tensor)


class Fuser:
    """A loaded model. Immutable, so several threads may use one at once; ``to`` gives another.

    Made by ``gifnet.load``; see ``gifnet.fuse`` and ``gifnet.enhance`` for what its methods take and give.
    """

    def __init__(
        self,
        network: GIFNet | SelfContained,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        name: str = "",
    ) -> None:
        self.device = choose_device(device)
        self.dtype = choose_dtype(dtype, self.device)
        self.name = name
        self._network = network
        self._form = inference_form(network, self.dtype).to(self.device)
        enhancing = enhancing_form(network, self.dtype)
        self._enhancing_form = self._form if enhancing is None else enhancing.to(self.device)

    def __repr__(self) -> str:
        return f"Fuser({self.name!r}, device='{self.device}', dtype='{str(self.dtype).removeprefix('torch.')}')"

    def to(self, device: str | torch.device | None = None, dtype: str | torch.dtype = "auto") -> "Fuser":
        """The same model on another device (None: this one) or in another precision ("auto": the device's own)."""
        return Fuser(self._network, self.device if device is None else device, dtype, self.name)

    @overload
    def fuse(self, a: Kind, b: ImageLike, *more: ImageLike, **options: Any) -> Kind: ...
    @overload
    def fuse(
        self, a: "str | os.PathLike[str]", b: ImageLike, *more: ImageLike, **options: Any
    ) -> Image.Image | Any: ...
    @overload
    def fuse(self, a: ReadablePicture, b: ImageLike, *more: ImageLike, **options: Any) -> Any: ...

    def fuse(  # type: ignore[misc]  # which names the options
        self,
        a: ImageLike,
        b: ImageLike,
        *more: ImageLike,
        page: int | None = None,
        resize: Resize = None,
        stretch: Stretch = False,
        align: Align = False,
        tile: Tile = "auto",
        memory: Memory = None,
        progress: Progress = None,
        out: Any = None,
    ) -> Any:
        """See ``gifnet.fuse``."""
        execution = Execution(tile, memory, progress)
        execution.check()
        if more:
            if resize is not None or align or out is not None:
                raise InputError("resize, align and out: for two images only; bring those of a stack into line first")
            sources = zip(argument_names(), (a, b, *more), strict=False)
            one_profile = OneProfile()
            pictures = (one_profile(prepare_one(read(source, name, page), stretch)).load() for name, source in sources)
            return fuse_stack(pictures, partial(self.fuse_planes, execution=execution))
        first, second = prepare(read(a, "a", page), read(b, "b", page), resize, stretch, align)
        check_alike(first, second)
        first, second = map(OneProfile(), (first, second))
        return self._execute(execution, first, second, 1.0, out)

    @overload
    def enhance(self, x: Kind, strength: float = 1.0, **options: Any) -> Kind: ...
    @overload
    def enhance(self, x: "str | os.PathLike[str]", strength: float = 1.0, **options: Any) -> Image.Image | Any: ...
    @overload
    def enhance(self, x: ReadablePicture, strength: float = 1.0, **options: Any) -> Any: ...

    def enhance(  # type: ignore[misc]  # which names the options
        self,
        x: ImageLike,
        strength: float = 1.0,
        *,
        page: int | None = None,
        stretch: Stretch = False,
        tile: Tile = "auto",
        memory: Memory = None,
        progress: Progress = None,
        out: Any = None,
    ) -> Any:
        """See ``gifnet.enhance``."""
        if not 0 <= strength <= 1:
            raise InputError(f"strength: {strength} is outside 0 (the image as it is) to 1 (fully enhanced)")
        execution = Execution(tile, memory, progress)
        execution.check()
        picture = prepare_one(read(x, "x", page), stretch)
        if strength == 0 and out is None and isinstance(picture, Picture):
            return picture.pack(picture.pixels, picture.alpha)
        return self._execute(execution, picture, picture, strength, out)

    def fuse_planes(self, a: Tensor, b: Tensor, execution: Execution = DEFAULT) -> Tensor:
        """Luminance planes (B, 1, H, W), float32 in [0, 1], to the fused one, where ``a`` lies."""
        fused = torch.empty_like(a)
        execution.run(self._form, self.device, (a.shape[-2], a.shape[-1]), plane_jobs(a, b, fused), 3 * a.nbytes)
        return fused

    def fuse_regions(self, source: Source, sink: Sink, height: int, width: int, execution: Execution = DEFAULT) -> None:
        """Fuse two luminance planes of any size, read and written by regions.

        ``source`` gives a region of both, (1, 2, h, w), floating point in [0, 1]; ``sink`` takes one of the result,
        (1, 1, h, w), float32. Regions are read several times, and each is written once.
        """
        execution.run(self._form, self.device, (height, width), [(source, sink)], 0)

    def _execute(
        self, execution: Execution, first: ReadablePicture, second: ReadablePicture, strength: float, out: Any
    ) -> Any:
        """Fuse two pictures, by regions throughout: neither colour nor chroma is ever held for the whole image.

        ``strength`` below 1 blends the first one's luminance with the fused one.
        """
        result = first.info() if second is first else first.fused_with(second)
        count, (height, width) = first.layout.count, first.layout.sides
        coloured = first.layout.coloured or second.layout.coloured
        transparent = first.layout.transparent or second.layout.transparent
        canvas: ArrayCanvas | TensorCanvas
        if out is not None or isinstance(first, LazyPicture):
            canvas = ArrayCanvas.like(first, result, 4 if transparent else 3 if coloured else 1, out)
        else:
            canvas = TensorCanvas(result, coloured, transparent, first.device)

        def job(index: int) -> tuple[Source, Sink]:
            def source(region: Region) -> Tensor:
                planes = [colour.split(picture.region(index, region)[0])[0] for picture in (first, second)]
                return torch.cat([plane.to(self.device) for plane in planes], dim=1)

            def sink(region: Region, fused: Tensor) -> None:
                pixels, alpha = first.region(index, region)
                luma, chroma = colour.split(pixels)
                fused = fused.to(pixels.device)
                if second is first:
                    fused = torch.lerp(luma, fused, strength)
                else:
                    other, other_alpha = second.region(index, region)
                    chroma = colour.mix(chroma, _there(colour.split(other)[1], pixels))
                    alpha = _there(other_alpha, pixels) if alpha is None else alpha
                canvas.write(index, region, colour.merge(fused, chroma), alpha)

            return source, sink

        taken = first.nbytes + (0 if second is first else second.nbytes) + canvas.nbytes
        form = self._enhancing_form if second is first else self._form
        execution.run(form, self.device, (height, width), [job(index) for index in range(count)], taken)
        return canvas.result()


class TensorCanvas:
    """Where a result goes by regions: planes in memory, which are packed in the end."""

    def __init__(self, picture: PictureInfo, coloured: bool, transparent: bool, device: torch.device) -> None:
        count, (height, width) = picture.layout.count, picture.layout.sides
        self._picture = picture
        self._pixels = torch.empty((count, 3 if coloured else 1, height, width), device=device)
        self._alpha = torch.empty((count, 1, height, width), device=device) if transparent else None

    @property
    def nbytes(self) -> int:
        return self._pixels.nbytes + (0 if self._alpha is None else self._alpha.nbytes)

    def write(self, index: int, region: Region, pixels: Tensor, alpha: Tensor | None) -> None:
        """Write pixels (1, 1 or 3, h, w) in [0, 1] and alpha where they belong."""
        for whole, part in ((self._pixels, pixels), (self._alpha, alpha)):
            if whole is not None and part is not None:
                whole[index : index + 1, :, region.top : region.bottom, region.left : region.right] = part

    def result(self) -> Any:
        return self._picture.pack(self._pixels, self._alpha)


def _there(plane: Tensor | None, like: Tensor) -> Tensor | None:
    return None if plane is None else plane.to(like.device)
