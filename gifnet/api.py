"""gifnet's functions of images: fuse two or more, enhance one."""

import os
from typing import TYPE_CHECKING, Any, Literal, overload

from PIL import Image

from .checkpoints.hub import BUNDLED
from .execution.running import Execution
from .fuser import Depth, Kind
from .images.lazy import ChunkedArray
from .images.picture import ReadablePicture
from .images.reading import ImageLike, Images, SupportsRead, images_of
from .models import EnhanceOptions, FuseOptions, Model, fuser_of, load
from .options.declarations import RETURN_DEPTH, STRENGTH
from .options.values import Align, Colour, Device, Dtype, Memory, Progress, Resize, Stretch, Tile
from .prepare.preparation import Preparation
from .stack.depth import DepthMap

__all__ = ["enhance", "fuse", "load"]

if TYPE_CHECKING:
    from typing_extensions import Unpack


@overload
def fuse(
    a: Kind,
    b: ImageLike,
    *more: ImageLike,
    return_depth: Literal[False] = False,
    **options: "Unpack[FuseOptions]",
) -> Kind: ...
@overload
def fuse(
    a: bytes, b: None = None, *, return_depth: Literal[False] = False, **options: "Unpack[FuseOptions]"
) -> bytes: ...
@overload
def fuse(
    a: "str | os.PathLike[str]",
    b: ImageLike | None = None,
    *more: ImageLike,
    return_depth: Literal[False] = False,
    **options: "Unpack[FuseOptions]",
) -> Image.Image | Any: ...
@overload
def fuse(
    a: "ImageLike | Images",
    b: ImageLike | None = None,
    *more: ImageLike,
    return_depth: Literal[True],
    **options: "Unpack[FuseOptions]",
) -> "tuple[Any, Depth]": ...
@overload
def fuse(
    a: "Images | SupportsRead | ReadablePicture | ChunkedArray",
    b: ImageLike | None = None,
    *more: ImageLike,
    return_depth: Literal[False] = False,
    **options: "Unpack[FuseOptions]",
) -> Any: ...


def fuse(
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
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> Any:
    """Fuse two or more aligned images of one scene into one that shows what each of them does.

    Args:
        a: a path, encoded bytes, a file object (as its bytes), a PIL image, a numpy array (H×W or H×W×C) or a torch
            tensor (C×H×W or B×C×H×W); C is 1 (grey), 3 (R, G, B) or 4 (R, G, B, alpha); uint8, uint16, or floating
            point in [0, 1]. In infrared-visible pairs this is the infrared. Alone, without ``b``: a list or tuple of
            images, or a file that holds several (a TIFF, a GIF), whose pages are a stack; or one raster of RGB and
            near infrared, which are fused. Of a Dask array the result is a lazy one, computed chunk by chunk; an
            ``xarray.DataArray`` keeps its labels (extra ``[dask]``, docs/cluster.md).
        b: an image of the same height and width; of any other kind and dtype.
        more: the further images of a focus stack or exposure bracket. Of three or more images, the order does not
            matter but for the result's kind, and files are read one at a time. With ``align``, the first one's grid is
            the result's, neighbours are aligned to each other, and files are read twice. ``resize`` and ``out`` are
            for two images only. See ``gifnet.stack``.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
            images that show the same: ratios of sides that differ by more than 2 % are refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        colour: whose colours the result has, of two images: ``"auto"`` is by evidence, ``"a"`` or ``"b"`` takes the
            other one as grey. So does a thermal image in false colours (a palette) give its brightness only.
        align: warp the other images onto the first one's grid first, and crop all to the largest rectangle that all
            show. True (``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``,
            ``"similarity"``, ``"affine"`` or ``"homography"``. Or a transform that is known, of two images of a fixed
            rig: what ``gifnet.align`` gives, a 3×3 matrix from ``a``'s pixels to ``b``'s, or the JSON file that
            ``gifnet align`` writes. Needs the extra ``[align]``; no batches of several.
        max_shift: how far alignment searches, as a part of each side. From 0 to 0.5.
        max_rotation: how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.
        max_scale: how far alignment searches, as a factor either way, once both images have one size. From 1 to 2; not
            with ``"translation"``.
        return_depth: give the depth map of a focus stack too: a pair of the fused image and an array (H, W), float32.
            It says which image each pixel is sharpest in, 0 for the first, with fractions between neighbours; smooth
            where nothing is.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the work
            with an exception; False: neither; None: a bar on a terminal, after two seconds.
        out: an array of the result's shape and dtype to write it into, such as a ``numpy.memmap``; it is returned. With
            ``numpy.memmap`` or other sliceable arrays (h5py, zarr) as inputs, images may be larger than memory: they
            are read and written by regions.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Returns:
        The fused image in ``a``'s kind and dtype; with ``return_depth``, a pair of it and the depth map. It has colour
        if either input has, and ``a``'s alpha, else ``b``'s, if there is one. Bytes give PNG bytes (TIFF for floating
        point). A path gives a PIL image, or, where Pillow can't hold the result (colour or alpha of 16 bits or floating
        point), an array (H×W×3 or H×W×4, uint16 or float32). Of two files, the deeper one decides the dtype: uint8,
        then uint16, then float32. PIL images, which hold depth in grey only, are rounded to 8 bits where the result has
        colour or alpha. PIL images and bytes come with the EXIF data and ICC profile of the first input in colour;
        ``fuse_files`` writes files with them.
        The network (Cheng et al., CVPR 2025) fuses the luminances; chroma is that of the coloured input, or of several
        by evidence (``gifnet.images.chroma``).

    Raises:
        InputError: unreadable or empty images, sizes that differ, dtypes, ranges or channels that are no image's, NaN;
            an option with a wrong value; ``memory`` that does not suffice; an ``out`` that does not fit;
            a file of several images and no ``page``; colour or alpha deeper than 8 bits without the extra ``[files]``.
        AlignmentError: the images could not be aligned with confidence.
        MissingExtraError: ``align`` without the extra "align".
        CheckpointError: see ``load``.

    What ``resize``, ``stretch`` and ``align`` did is logged (level INFO, "gifnet"), and noted in the EXIF image
    description of results that carry metadata.
    """
    preparation = Preparation.checked(page, resize, stretch, align, colour, max_shift, max_rotation, max_scale)
    execution = Execution.checked(tile, memory, progress)
    images = images_of(a, b, more)
    fuser = fuser_of(model, device, dtype)
    if not RETURN_DEPTH.check(return_depth):
        return fuser.fuse_images(images, preparation, execution, out)
    depth = DepthMap()
    return fuser.fuse_images(images, preparation, execution, out, depth), depth.array()


@overload
def enhance(x: Kind, strength: float = ..., **options: "Unpack[EnhanceOptions]") -> Kind: ...
@overload
def enhance(
    x: "str | os.PathLike[str]", strength: float = ..., **options: "Unpack[EnhanceOptions]"
) -> Image.Image | Any: ...
@overload
def enhance(x: ChunkedArray, strength: float = ..., **options: "Unpack[EnhanceOptions]") -> Any: ...


def enhance(
    x: ImageLike,
    strength: float = 1.0,
    *,
    page: int | None = None,
    stretch: Stretch = False,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    out: Any = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> Any:
    """Enhance one image: the fusion of its luminance with itself (Cheng et al., CVPR 2025, Table 3).

    Args:
        x: a path, encoded bytes, a PIL image, a numpy array (H×W or H×W×C) or a torch tensor (C×H×W or B×C×H×W); C is 1
            (grey), 3 (R, G, B) or 4 (R, G, B, alpha); uint8, uint16, or floating point in [0, 1]. Or a Dask array or an
            ``xarray.DataArray``, with labels kept; of a Dask array the result is a lazy one.
        strength: from 0 (the image as it is) to 1 (the network's result). Between them, a blend of luminances.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True: a progress bar on stderr; a function of the steps done and their number, which may end the work
            with an exception; False: neither; None: a bar on a terminal, after two seconds.
        out: an array of the result's shape and dtype to write it into, such as a ``numpy.memmap``; it is returned. With
            ``numpy.memmap`` or other sliceable arrays (h5py, zarr) as inputs, images may be larger than memory: they
            are read and written by regions.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Returns:
        The enhanced image in ``x``'s kind and dtype; chroma, alpha and metadata are kept. A path gives a PIL image, or
        an array where Pillow can't hold the result; ``fuse`` says when, and what bytes give.

    Raises:
        InputError: an unreadable or empty image; dtypes, ranges or channels that are no image's, NaN; options that are
            none; ``memory`` that does not suffice; an ``out`` that does not fit; a file of several images and no
            ``page``; colour or alpha deeper than 8 bits without the extra ``[files]``.
        CheckpointError: see ``load``.
    """
    strength = STRENGTH.check(strength)
    preparation, execution = Preparation.checked(page, stretch=stretch), Execution.checked(tile, memory, progress)
    return fuser_of(model, device, dtype).enhance_image(x, strength, preparation, execution, out)
