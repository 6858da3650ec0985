"""gifnet's functions: load a model, fuse two images, enhance one."""

import os
import threading
from typing import Any, overload

import torch
from PIL import Image

from .device import choose_device, choose_dtype
from .fuser import Fuser, Kind
from .hub import BUNDLED, load_model
from .image import ImageLike
from .prepare import Align, Resize, Stretch

_models: dict[tuple[Any, ...], Fuser] = {}
_loading = threading.Lock()


def load(
    name_or_path: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    sha256: str | None = None,
) -> Fuser:
    """Load a model, once: the same arguments give the same object again.

    Args:
        name_or_path: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision`` that holds ``model.safetensors`` and ``config.json``.
        device: ``"auto"`` (GIFNET_DEVICE if set, else CUDA, MPS, CPU), or a device as torch names it.
        dtype: ``"auto"`` (float16 on CUDA, float32 elsewhere), ``"float32"``, ``"float16"`` or ``"bfloat16"``.
        sha256: if given, the weights' file must have this SHA-256 (hexadecimal).

    Raises:
        CheckpointError: the weights can't be found, fetched or trusted; the message says what to do.
        InputError: no such device or dtype.
    """
    device = choose_device(device)
    dtype = choose_dtype(dtype, device)
    name = os.fspath(name_or_path)
    # A file that has been written anew since is another model.
    stamp = (os.stat(name).st_mtime_ns, os.stat(name).st_size) if os.path.isfile(name) else None
    key = (name, type(name_or_path) is str, stamp, str(device), dtype, sha256)
    with _loading:
        if key not in _models:
            network, resolved = load_model(name_or_path, sha256=sha256)
            _models[key] = Fuser(network, device, dtype, resolved.label)
        return _models[key]


@overload
def fuse(
    a: Kind,
    b: ImageLike,
    *,
    page: int | None = ...,
    resize: Resize = ...,
    stretch: Stretch = ...,
    align: Align = ...,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Kind: ...
@overload
def fuse(
    a: "str | os.PathLike[str]",
    b: ImageLike,
    *,
    page: int | None = ...,
    resize: Resize = ...,
    stretch: Stretch = ...,
    align: Align = ...,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Image.Image | Any: ...


def fuse(
    a: ImageLike,
    b: ImageLike,
    *,
    page: int | None = None,
    resize: Resize = None,
    stretch: Stretch = False,
    align: Align = False,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Any:
    """Fuse two aligned images of one scene into one that shows what either does.

    Args:
        a: a path, encoded bytes, a PIL image, a numpy array (H×W or H×W×C) or a torch tensor (C×H×W or B×C×H×W); C is 1
            (grey), 3 (R, G, B) or 4 (R, G, B, alpha); uint8, uint16, or floating point in [0, 1]. In infrared-visible
            pairs this is the infrared.
        b: likewise, of the same height and width; of any other kind and dtype.
        page: of paths and bytes of files that hold several images, the one to take (0 is the first).
        resize: ``"a"`` or ``"b"``: bring the other one to this one's size first (bicubic, antialiased). For images that
            show the same; ratios of sides that differ by more than 2 % are refused.
        stretch: True, or two percentiles such as ``(1, 99)``: map the range between them to black and white first
            (True: 0.1 and 99.9), each grey input on its own. For 14-bit thermal images in 16-bit files and the like.
            Images in colour are left alone.
        align: True, or a motion as for ``gifnet.align`` (True: ``"affine"``): warp ``b`` onto ``a`` first, and crop
            both to the largest rectangle in which ``b`` is defined. Needs the extra ``[align]``; no batches of several.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``; the precision to compute in, not that of the result.

    Returns:
        The fused image in ``a``'s kind and dtype. It has colour if either input has, and ``a``'s alpha, else ``b``'s,
        if there is one. Bytes give PNG bytes (TIFF for floating point). A path gives a PIL image, or, where Pillow
        can't hold the result (colour or alpha of 16 bits or floating point), an array (H×W×3 or H×W×4, uint16 or
        float32). Of two files, the deeper one decides the dtype: uint8, then uint16, then float32. PIL images, which
        hold depth in grey only, are rounded to 8 bits where the result has colour or alpha. PIL images and bytes come
        with the EXIF data and ICC profile of the first input in colour; ``fuse_files`` writes files with them.
        The network (Cheng et al., CVPR 2025) fuses the luminances; chroma is that of the coloured input, or the
        saturation-weighted mean of both.

    Raises:
        InputError: unreadable or empty images, sizes that differ, dtypes, ranges or channels that are no image's, NaN;
            a file of several images and no ``page``; colour or alpha deeper than 8 bits without the extra ``[files]``.
        AlignmentError: the images could not be aligned with confidence.
        ImportError: ``align`` without the extra.
        CheckpointError: see ``load``.

    What ``resize``, ``stretch`` and ``align`` did is logged (level INFO, "gifnet"), and noted in the EXIF image
    description of results that carry metadata.
    """
    options: dict[str, Any] = {"page": page, "resize": resize, "stretch": stretch, "align": align}
    return load(model, device, dtype).fuse(a, b, **options)


@overload
def enhance(
    x: Kind,
    strength: float = ...,
    *,
    page: int | None = ...,
    stretch: Stretch = ...,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Kind: ...
@overload
def enhance(
    x: "str | os.PathLike[str]",
    strength: float = ...,
    *,
    page: int | None = ...,
    stretch: Stretch = ...,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Image.Image | Any: ...


def enhance(
    x: ImageLike,
    strength: float = 1.0,
    *,
    page: int | None = None,
    stretch: Stretch = False,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Any:
    """Enhance one image: the fusion of its luminance with itself (Cheng et al., CVPR 2025, Table 3).

    Args:
        x: an image, as for ``fuse``.
        strength: from 0 (``x`` as it is) to 1 (the network's result); between them, a blend of luminances.
        page: as for ``fuse``.
        stretch: as for ``fuse``.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``.

    Returns:
        The enhanced image in ``x``'s kind and dtype, as for ``fuse``; chroma, alpha and metadata kept.

    Raises:
        InputError, CheckpointError: as for ``fuse``; and a strength outside [0, 1].
    """
    return load(model, device, dtype).enhance(x, strength, page=page, stretch=stretch)
