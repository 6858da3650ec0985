"""Fusing frames as they come: reading the next ones, fusing, and what the caller does with results, all at once."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..execution.running import Execution
from ..execution.threads import Pending, Threads
from ..fuser import Fuser
from ..images.reading import ImageLike
from ..models import Model, fuser_of
from ..options.values import Align, Device, Dtype, Memory, Resize, Stretch, Tile
from ..prepare.preparation import Preparation
from .rig import SAMPLES, Rig

Item = TypeVar("Item")
Result = TypeVar("Result")
_END = object()
AS_PREPARED = Preparation()


def fuse_frames(
    frames_a: Iterable[ImageLike],
    frames_b: Iterable[ImageLike],
    *,
    resize: Resize = None,
    stretch: Stretch = False,
    align: Align = False,
    tile: Tile = "auto",
    memory: Memory = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> "Iterator[np.ndarray[Any, Any]]":
    """Fuse frames of two cameras, or of whatever gives images one after the other, as they come.

    Args:
        frames_a: any iterable of arrays (H×W or H×W×C; R, G, B), or of other images that ``gifnet.fuse`` takes; the
            infrared ones.
        frames_b: the other camera's, taken at the same times; it ends with the shorter of the two.
        resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
            images that show the same: ratios of sides that differ by more than 2 % are refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), or two percentiles such as ``(1, 99)``, whose limits follow slowly from frame to frame, so that
            nothing flickers; or two values such as ``(7000, 9000, "values")``, which stay. Videos in colour are left
            alone.
        align: warp ``b`` onto ``a``'s grid first, and crop both to the largest rectangle that both show. True
            (``"affine"``), or a motion: ``"translation"``, ``"similarity"``, ``"affine"`` or ``"homography"``. Found
            once, from five frames, for a rig is fixed. Needs the extra ``[align]``.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
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
        An iterator over fused frames, of ``a``'s kind and dtype. A result is given when the next pair has been read, at
        the latest; that pair is then fused while the caller works on the result, and another one is read. With
        ``align``, the first five pairs are read first. Where a network's result depends on statistics of the whole
        image, these follow slowly from frame to frame.

    Raises:
        InputError, AlignmentError, CheckpointError: as ``gifnet.fuse``; for frames, when they are fused.
    """
    preparation = Preparation.checked(resize=resize, stretch=stretch, align=align)
    execution = Execution.checked(tile, memory, progress=False)
    fuser = fuser_of(model, device, dtype)
    return fused_frames(fuser, Rig(preparation), zip(frames_a, frames_b, strict=False), execution)


def fused_frames(
    fuser: Fuser, rig: Rig, pairs: Iterable[tuple[ImageLike, ImageLike]], execution: Execution
) -> Iterator[Any]:
    """``fuse_frames`` of pairs, its options already checked."""
    steady = fuser.over_time()

    def fuse(pair: tuple[ImageLike, ImageLike]) -> Any:
        return steady.fuse_images(rig.prepare(*pair), AS_PREPARED, execution)

    return overlapped(_after_finding(rig, iter(pairs)), fuse)


def _after_finding(rig: Rig, pairs: Iterator[tuple[ImageLike, ImageLike]]) -> Iterator[tuple[ImageLike, ImageLike]]:
    """The pairs, the first few looked at for the alignment, if one is to be found."""
    if rig.aligns:
        first = list(islice(pairs, SAMPLES))
        if first:
            rig.find(first)
        yield from first
    yield from pairs


def overlapped(items: Iterable[Item], work: Callable[[Item], Result]) -> Iterator[Result]:
    """``work`` of each item, one after the other and in their order, while the next item is got and a result is used.

    A result is given once the next item is there, or there is none.
    """
    iterator = iter(items)
    with Threads(1, "gifnet-read") as reader, Threads(1, "gifnet-fuse", one_core=False) as worker:
        ahead: Pending[Any] = reader.submit(next, iterator, _END)
        pending: Pending[Result] | None = None
        while (item := ahead.result()) is not _END:
            ahead = reader.submit(next, iterator, _END)
            following = worker.submit(work, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()
