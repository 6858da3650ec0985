"""The facade: owns a network, a device and a precision, and turns images into planes and back."""

import copy
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from .checkpoints.pretrained import Pretrained
from .chunked.fusing import check_lazy, fuse_lazily
from .chunked.kinds import is_dask, is_labelled
from .chunked.labelled import Labelled
from .chunked.model import TaskModel
from .errors import InputError
from .execution.context import in_plain_context
from .execution.form import Sink, Source, finite_sink, over_time, plane_jobs
from .execution.running import DEFAULT, Execution
from .execution.threads import alone
from .images import colour
from .images.canvas import canvas_for
from .images.lazy import ChunkedArray
from .images.picture import OF_STACKS, Picture, ReadablePicture, check_alike
from .images.profiles import OneProfile
from .images.rasters import with_bands, without_bands
from .images.reading import ImageLike, Images, SupportsRead, bytes_to_read, images_of, read
from .networks.registry import enhancing_form, inference_form
from .options.declarations import RETURN_DEPTH, STRENGTH
from .options.keywords import EnhanceImageOptions, FuseImagesOptions
from .options.values import Align, Colour, Device, Dtype, Memory, Progress, Resize, Stretch, Tile
from .prepare.preparation import Preparation
from .regions import Region
from .results import copied, sinks
from .stack.alignment import align_stack
from .stack.composition import argument_names, fuse_stack
from .stack.depth import DepthMap
from .stack.focus import sharpness

if TYPE_CHECKING:
    from typing_extensions import Unpack

Depth: TypeAlias = "np.ndarray[Any, np.dtype[np.float32]]"

Kind = TypeVar("Kind", bytes, Image.Image, "np.ndarray[Any, Any]", Tensor)


class Fuser(Pretrained):
    """A loaded model. Immutable, so several threads may use one at once; ``to`` gives another.

    Made by ``gifnet.load``; see ``gifnet.fuse`` and ``gifnet.enhance`` for what its methods take and give.
    """

    def __init__(
        self,
        network: nn.Module,
        device: Device = "auto",
        dtype: Dtype = "auto",
        name: str = "",
        sha256: str | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(network, device, dtype, name, sha256, notes)
        self.is_over_time = False  # made by ``over_time``
        self._form = alone(inference_form, network, self.dtype).to(self.device)
        enhancing = alone(enhancing_form, network, self.dtype)
        self._enhancing_form = self._form if enhancing is None else enhancing.to(self.device)

    @property
    def network(self) -> nn.Module:
        """The network in its plain form, float32 on the CPU; not to be changed."""
        return self._network

    @property
    def file_sha256(self) -> str | None:
        """The SHA-256, in hexadecimal, of the file that the weights were read from; None if there is none."""
        return self._sha256

    def __repr__(self) -> str:
        return f"Fuser({self.name!r}, device='{self.device}', dtype='{str(self.dtype).removeprefix('torch.')}')"

    def to(self, device: Device | None = None, dtype: Dtype = "auto") -> "Fuser":
        """The same model on another device (None: this one) or in another precision ("auto": the device's own)."""
        device = self.device if device is None else device
        return Fuser(self._network, device, dtype, self.name, self._sha256, self.notes)

    def over_time(self) -> "Fuser":
        """The same model for the images of one video, in their order and from one thread at a time.

        Statistics of the whole image, which GIFNet's norms need, follow slowly from one image to the next, so that they
        don't flicker with the images' noise. Weights are shared.
        """
        other = copy.copy(self)
        other.is_over_time = True
        other._form, other._enhancing_form = over_time(self._form), over_time(self._enhancing_form)
        return other

    @overload
    def fuse(
        self,
        a: Kind,
        b: ImageLike,
        *more: ImageLike,
        return_depth: Literal[False] = False,
        **options: "Unpack[FuseImagesOptions]",
    ) -> Kind: ...
    @overload
    def fuse(
        self, a: bytes, b: None = None, *, return_depth: Literal[False] = False, **options: "Unpack[FuseImagesOptions]"
    ) -> bytes: ...
    @overload
    def fuse(
        self,
        a: "str | os.PathLike[str]",
        b: ImageLike | None = None,
        *more: ImageLike,
        return_depth: Literal[False] = False,
        **options: "Unpack[FuseImagesOptions]",
    ) -> Image.Image | Any: ...
    @overload
    def fuse(
        self,
        a: "ImageLike | Images",
        b: ImageLike | None = None,
        *more: ImageLike,
        return_depth: Literal[True],
        **options: "Unpack[FuseImagesOptions]",
    ) -> "tuple[Any, Depth]": ...
    @overload
    def fuse(
        self,
        a: "Images | SupportsRead | ReadablePicture | ChunkedArray",
        b: ImageLike | None = None,
        *more: ImageLike,
        return_depth: Literal[False] = False,
        **options: "Unpack[FuseImagesOptions]",
    ) -> Any: ...

    def fuse(
        self,
        a: ImageLike | Images,
        b: ImageLike | None = None,
        *more: ImageLike,
        page: int | None = None,
        resize: Resize = None,
        stretch: Stretch = False,
        colour: Colour = "auto",
        align: Align = False,
        max_shift: float = 0.25,
        max_rotation: float = 6.0,
        max_scale: float = 1.06,
        return_depth: bool = False,
        tile: Tile = "auto",
        memory: Memory = None,
        progress: Progress = None,
        out: Any = None,
    ) -> Any:
        """Fuse two or more aligned images of one scene with this model; ``gifnet.fuse`` says more.

        Args:
            a: an image of any kind that ``gifnet.fuse`` takes; in infrared-visible pairs, the infrared. Alone, a list
                of images, or a file that holds several.
            b: an image of the same height and width; of any other kind and dtype.
            more: the further images of a focus stack or exposure bracket.
            page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is
                refused.
            resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
                images that show the same: ratios of sides that differ by more than 2 % are refused.
            stretch: map the range between two percentiles to black and white first, each grey input on its own. True
                (0.1 and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``,
                which don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a
                pair only. For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units.
                NaN becomes black. Images in colour are left alone.
            colour: whose colours the result has, of two images: ``"auto"`` is by evidence, ``"a"`` or ``"b"`` takes the
                other one as grey. So does a thermal image in false colours (a palette) give its brightness only.
            align: warp the other images onto the first one's grid first, and crop all to the largest rectangle that all
                show. True (``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``,
                ``"similarity"``, ``"affine"`` or ``"homography"``. Or a transform that is known, of two images of a
                fixed rig: what ``gifnet.align`` gives, a 3×3 matrix from ``a``'s pixels to ``b``'s, or the JSON file
                that ``gifnet align`` writes. Needs the extra ``[align]``; no batches of several.
            max_shift: how far alignment searches, as a part of each side. From 0 to 0.5.
            max_rotation: how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.
            max_scale: how far alignment searches, as a factor either way, once both images have one size. From 1 to 2;
                not with ``"translation"``.
            return_depth: give the depth map of a focus stack too: a pair of the fused image and an array (H, W),
                float32. It says which image each pixel is sharpest in, 0 for the first, with fractions between
                neighbours; smooth where nothing is.
            tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the
                whole image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same
                with any.
            memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``.
                None: 70 % of what is free. With less, stage results are computed again instead of kept, which takes up
                to twice as long. The plan is logged (level DEBUG, "gifnet").
            progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the
                work with an exception; False: neither; None: a bar on a terminal, after two seconds.
            out: an array of the result's shape and dtype to write it into, such as a ``numpy.memmap``; it is returned.
                With ``numpy.memmap`` or other sliceable arrays (h5py, zarr) as inputs, images may be larger than
                memory: they are read and written by regions.

        Returns:
            The fused image in ``a``'s kind and dtype; with ``return_depth``, a pair of it and the depth map.

        Raises:
            InputError, AlignmentError: see ``gifnet.fuse``.
        """
        preparation = Preparation.checked(page, resize, stretch, align, colour, max_shift, max_rotation, max_scale)
        execution, images = Execution.checked(tile, memory, progress), images_of(a, b, more)
        if not RETURN_DEPTH.check(return_depth):
            return self.fuse_images(images, preparation, execution, out)
        depth = DepthMap()
        return self.fuse_images(images, preparation, execution, out, depth), depth.array()

    @overload
    def enhance(self, x: Kind, strength: float = ..., **options: "Unpack[EnhanceImageOptions]") -> Kind: ...
    @overload
    def enhance(
        self, x: "str | os.PathLike[str]", strength: float = ..., **options: "Unpack[EnhanceImageOptions]"
    ) -> Image.Image | Any: ...
    @overload
    def enhance(
        self, x: ReadablePicture | ChunkedArray, strength: float = ..., **options: "Unpack[EnhanceImageOptions]"
    ) -> Any: ...

    def enhance(
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
        """Enhance one image with this model; ``gifnet.enhance`` says more.

        Args:
            x: an image of any kind that ``gifnet.fuse`` takes.
            strength: from 0 (the image as it is) to 1 (the network's result). Between them, a blend of luminances.
            page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is
                refused.
            stretch: map the range between two percentiles to black and white first, each grey input on its own. True
                (0.1 and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``,
                which don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a
                pair only. For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units.
                NaN becomes black. Images in colour are left alone.
            tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the
                whole image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same
                with any.
            memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``.
                None: 70 % of what is free. With less, stage results are computed again instead of kept, which takes up
                to twice as long. The plan is logged (level DEBUG, "gifnet").
            progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the
                work with an exception; False: neither; None: a bar on a terminal, after two seconds.
            out: an array of the result's shape and dtype to write it into, such as a ``numpy.memmap``; it is returned.
                With ``numpy.memmap`` or other sliceable arrays (h5py, zarr) as inputs, images may be larger than
                memory: they are read and written by regions.

        Returns:
            The enhanced image in ``x``'s kind and dtype.

        Raises:
            InputError: see ``gifnet.enhance``.
        """
        preparation = Preparation.checked(page, stretch=stretch)
        return self.enhance_image(x, strength, preparation, Execution.checked(tile, memory, progress), out)

    @in_plain_context
    def fuse_images(
        self,
        images: Sequence[ImageLike],
        preparation: Preparation,
        execution: Execution = DEFAULT,
        out: Any = None,
        depth: DepthMap | None = None,
        seen: Callable[[Picture], object] | None = None,
    ) -> Any:
        """``fuse`` of two or more images, its options already checked.

        ``depth`` is filled with their depth map. ``seen`` is called with each image as it is fused: stretched, aligned,
        cropped to what all show.
        """
        if any(map(is_labelled, images)):
            labelled = Labelled.of(images, preparation, out)
            return labelled.label(self.fuse_images(labelled.arrays, preparation, execution, out, depth, seen))
        if is_dask(images[0]):
            check_lazy(len(images), out, depth)
            return fuse_lazily(self.task_model(enhancing=False), images, preparation, execution)
        if len(images) > 2:
            return self._fuse_stack(images, preparation, execution, out, depth, seen)
        named = dict(zip("ab", images, strict=True))
        self.check_memory(execution, preparation.page, named, out)
        first, second = (read(image, name, preparation.page) for name, image in named.items())
        first, second = preparation.pair(first, second)
        check_alike(first, second)
        first, second = map(OneProfile(), (first, second))
        for picture in (first, second):
            if depth is not None:
                depth.add(sharpness(colour.luma_of(picture.load().pixels).to(first.device)))
            if seen is not None:
                seen(picture.load())
        fuse = partial(self._execute, execution, strength=None, out=None)
        return with_bands(self._execute(execution, first, second, None, out), (first, second), fuse)

    def _fuse_stack(
        self,
        images: Sequence[ImageLike],
        preparation: Preparation,
        execution: Execution,
        out: Any,
        depth: DepthMap | None,
        seen: Callable[[Picture], object] | None,
    ) -> Any:
        if preparation.resize is not None or out is not None:
            raise InputError(f"resize and out: for two images only; {OF_STACKS}")
        if preparation.colour != "auto":
            raise InputError(f"colour: {preparation.colour!r} is an image of a pair; of a stack, only 'auto'")

        def pictures(again: bool = False) -> Iterator[Picture]:
            one_profile = OneProfile()
            for name, image in zip(argument_names(), images, strict=False):
                self.check_memory(execution, preparation.page, {name: image})
                # No name for what is read: it would hold one image while the next is read.
                yield one_profile(preparation.one(without_bands(read(image, name, preparation.page)), again)).load()

        motion = preparation.motion(of_stack=True)
        # Aligning reads all images twice: what all of them show is known only in the end.
        placed = pictures()
        if motion is not None:
            placed = align_stack(placed, motion, preparation.limits).apply(pictures(again=True))
        if seen is not None:
            placed = _showing(placed, seen)
        return fuse_stack(placed, partial(self.fuse_planes, execution=execution), depth)

    @in_plain_context
    def enhance_image(
        self,
        x: ImageLike,
        strength: float,
        preparation: Preparation,
        execution: Execution = DEFAULT,
        out: Any = None,
    ) -> Any:
        """``enhance``, its options but ``strength`` already checked."""
        strength = STRENGTH.check(strength)
        if is_labelled(x):
            labelled = Labelled.of([x], preparation, out)
            return labelled.label(self.enhance_image(labelled.arrays[0], strength, preparation, execution, out))
        if is_dask(x):
            check_lazy(1, out, None)
            return fuse_lazily(self.task_model(enhancing=True), [x], preparation, execution, strength)
        self.check_memory(execution, preparation.page, {"x": x}, out)
        picture = preparation.one(read(x, "x", preparation.page))

        def enhance(x: ReadablePicture, out: Any = None) -> Any:
            if strength == 0:
                return copied(x, execution, out)
            return self._execute(execution, x, x, strength, out)

        return with_bands(enhance(picture, out), (picture,), enhance)

    def check_memory(
        self, execution: Execution, page: int | None, images: Mapping[str, ImageLike], out: Any = None
    ) -> None:
        """Raise InputError, before anything is decoded, for images (by name) that with their result won't fit."""
        sizes = [bytes_to_read(image, name, page) for name, image in images.items()]
        elsewhere = out is not None or sizes[0] == 0  # the result is, as where the first one is read by regions
        largest, image = max(zip(sizes, images.items(), strict=True), key=lambda of: of[0])[1]
        named = os.fspath(image) if isinstance(image, str | os.PathLike) else largest
        execution.check_images(self.device, sum(sizes) + (0 if elsewhere else max(sizes)), str(named))

    @in_plain_context
    def fuse_planes(self, a: Tensor, b: Tensor, execution: Execution = DEFAULT) -> Tensor:
        """Luminance planes (B, 1, H, W), float32 in [0, 1], to the fused one, where ``a`` lies."""
        fused = torch.empty_like(a)
        jobs = [(source, self._checked(sink)) for source, sink in plane_jobs(a, b, fused)]
        execution.run(self._form, self.device, (a.shape[-2], a.shape[-1]), jobs, 3 * a.nbytes)
        return fused

    @in_plain_context
    def fuse_regions(self, source: Source, sink: Sink, height: int, width: int, execution: Execution = DEFAULT) -> None:
        """Fuse two luminance planes of any size, read and written by regions.

        ``source`` gives a region of both, (1, 2, h, w), floating point in [0, 1]; ``sink`` takes one of the result,
        (1, 1, h, w), float32. Regions are read several times, and each is written once.
        """
        execution.run(self._form, self.device, (height, width), [(source, self._checked(sink))], 0)

    def task_model(self, enhancing: bool) -> TaskModel:
        """The model for tasks, which may run in other processes."""
        return TaskModel(self._network, self.device, self.dtype, self.name, self._sha256, enhancing)

    def _checked(self, sink: Sink) -> Sink:
        """A sink that refuses what is no image."""
        return finite_sink(sink, self.name, self.dtype)

    def _execute(
        self, execution: Execution, first: ReadablePicture, second: ReadablePicture, strength: float | None, out: Any
    ) -> Any:
        """Fuse two pictures, by regions throughout: neither colour nor chroma is ever held for the whole image.

        ``strength`` is that of enhancing one picture, given twice; None: they are fused.
        """
        enhancing = strength is not None
        result = first.info() if enhancing else first.fused_with(second)
        count, (height, width) = first.layout.count, first.layout.sides
        canvas = canvas_for(result, (first, second), out)
        sink = sinks(canvas, first, second, strength)

        def job(index: int) -> tuple[Source, Sink]:
            def source(region: Region) -> Tensor:
                planes = [colour.luma_of(picture.region(index, region)[0]) for picture in (first, second)]
                return torch.cat([plane.to(self.device) for plane in planes], dim=1)

            return source, self._checked(sink(index))

        image_bytes = first.nbytes + (0 if second is first else second.nbytes) + canvas.nbytes
        form = self._enhancing_form if enhancing else self._form
        execution.run(form, self.device, (height, width), [job(index) for index in range(count)], image_bytes)
        return canvas.result()


def _showing(pictures: Iterator[Picture], seen: Callable[[Picture], object]) -> Iterator[Picture]:
    """The pictures, each told of as it passes."""
    for picture in pictures:
        seen(picture)
        yield picture
        del picture  # before the next is read
