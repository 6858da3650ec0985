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
    *more: ImageLike,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Kind: ...
@overload
def fuse(
    a: "str | os.PathLike[str]",
    b: ImageLike,
    *more: ImageLike,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Image.Image: ...


def fuse(
    a: ImageLike,
    b: ImageLike,
    *more: ImageLike,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Any:
    """Fuse two or more aligned images of one scene into one that shows what each of them does.

    Args:
        a: a path, encoded bytes, a PIL image, a numpy array (H×W or H×W×C) or a torch tensor (C×H×W or B×C×H×W); C is 1
            (grey), 3 (R, G, B) or 4 (R, G, B, alpha); uint8, uint16, or floating point in [0, 1]. In infrared-visible
            pairs this is the infrared.
        b: likewise, of the same height and width; of any other kind and dtype.
        more: likewise, the further images of a focus stack or exposure bracket. Of three or more images, the order does
            not matter but for the result's kind and dtype; files are read one at a time. See ``gifnet.stack``.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``; the precision to compute in, not that of the result.

    Returns:
        The fused image in ``a``'s kind and dtype: a path gives a PIL image, bytes give PNG bytes (TIFF for
        floating point). It has colour if either input has, and ``a``'s alpha, else ``b``'s, if there is one.
        The network (Cheng et al., CVPR 2025) fuses the luminances; chroma is that of the coloured input, or the
        saturation-weighted mean of both.

    Raises:
        InputError: unreadable or empty images, sizes that differ, dtypes, ranges or channels that are no image's, NaN.
        CheckpointError: see ``load``.
    """
    return load(model, device, dtype).fuse(a, b, *more)


@overload
def enhance(
    x: Kind, strength: float = ..., *, model: str | os.PathLike[str] = ..., device: str = ..., dtype: str = ...
) -> Kind: ...
@overload
def enhance(
    x: "str | os.PathLike[str]",
    strength: float = ...,
    *,
    model: str | os.PathLike[str] = ...,
    device: str = ...,
    dtype: str = ...,
) -> Image.Image: ...


def enhance(
    x: ImageLike,
    strength: float = 1.0,
    *,
    model: str | os.PathLike[str] = BUNDLED,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
) -> Any:
    """Enhance one image: the fusion of its luminance with itself (Cheng et al., CVPR 2025, Table 3).

    Args:
        x: an image, as for ``fuse``.
        strength: from 0 (``x`` as it is) to 1 (the network's result); between them, a blend of luminances.
        model: as ``name_or_path`` of ``load``.
        device: as for ``load``.
        dtype: as for ``load``.

    Returns:
        The enhanced image in ``x``'s kind and dtype, chroma and alpha kept.

    Raises:
        InputError, CheckpointError: as for ``fuse``; and a strength outside [0, 1].
    """
    return load(model, device, dtype).enhance(x, strength)
