"""Fusing two video files into one."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.progress import reporter
from ..execution.running import Execution
from ..execution.threads import Pending, Threads
from ..files.atomic import atomic_path
from ..files.writing import check_folder
from ..fuser import Fuser
from ..models import Model, fuser_of
from ..options.declarations import CODEC, MUTE, OFFSET
from ..options.values import Align, Device, Dtype, Memory, Progress, Resize, Steps, Stretch, Tile
from ..prepare.preparation import Preparation
from .codecs import check_codec, check_suffix
from .colours import Array
from .frames import fused_frames
from .pairing import Pair, Pairs
from .reading import VideoReader
from .rig import SAMPLES, Rig, check_size
from .writing import VideoWriter

FilePath = str | os.PathLike[str]
APART = 25  # frames, between those that an alignment is found from


@dataclass(frozen=True)
class VideoResult:
    """What came of fusing two videos."""

    path: Path
    frames: int  # fused
    damaged: int  # of either video, that were skipped
    unpaired: int  # of the leading video, that the other one has no frame for


def fuse_video(
    a: FilePath,
    b: FilePath,
    out: FilePath,
    *,
    offset: float = 0.0,
    codec: str | None = None,
    mute: bool = False,
    resize: Resize = None,
    stretch: Stretch = False,
    align: Align = False,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = None,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> VideoResult:
    """Fuse two videos of one scene into a third. Needs the extra ``[video]``.

    The result has the frames of the video with the higher rate; each is fused with the other's nearest in time, if that
    is no further than half a frame. Both are turned upright. Depth is kept, as far as the result's codec has it: 8-bit
    colour or grey; more (10-bit, 16-bit grey) is fused in 16 bits. Memory does not depend on the length.

    Args:
        a: a video file of any kind that PyAV reads; the infrared one.
        b: the other one; its sound is copied.
        out: the file to write: .mp4, .m4v, .mov, .mkv, .avi or .webm. It appears whole or not at all, at the end, so
            it may be one of the inputs, which is then replaced.
        offset: seconds that are added to the times of ``b``. For cameras that were not started together; negative where
            ``b`` was started first.
        codec: an encoder of FFmpeg's, such as ``"libx264"`` or ``"ffv1"``. None: by the suffix and the depth; H.264,
            H.265 for more than 8 bits in .mp4 and .mov, FFV1 for them in .mkv, VP9 in .webm, MJPEG in .avi.
        mute: leave the sound out.
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
        progress: True: a progress bar on stderr; a function of the frames done and their number, as far as it is known,
            which may end the work with an exception; False: neither; None: a bar on a terminal, after two seconds.
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
        The path written, and how many frames were fused, damaged or without a partner.

    Raises:
        InputError: files that are no videos, or don't overlap in time; a result that can't be written, or can't hold
            the sound; whatever ``fuse`` refuses.
        AlignmentError: the frames could not be aligned with confidence.
        MissingExtraError: PyAV is missing (extra "video"), or OpenCV for ``align`` (extra "align").
        CheckpointError: see ``load``.
    """
    preparation = Preparation.checked(resize=resize, stretch=stretch, align=align)
    execution = Execution.checked(tile, memory, progress)
    offset, codec, mute = OFFSET.check(offset), CODEC.check(codec), bool(MUTE.check(mute))
    path = check_folder(check_suffix(Path(out)))
    if codec is not None:
        check_codec(codec)
    with VideoReader(a) as first, VideoReader(b, offset) as second:  # before the model is loaded
        fuser = fuser_of(model, device, dtype)
        rig = Rig(preparation, even=True)
        if rig.aligns:
            rig.find(_samples(a, b, offset))
        pairs = Pairs(first, second)
        with reporter(execution.progress, "frame") as report, atomic_path(path) as temporary:
            frames = _Work(fuser, rig, pairs, execution).write(temporary, path, codec, None if mute else second, report)
        return VideoResult(path, frames, first.damaged + second.damaged, pairs.unpaired)


def _samples(a: FilePath, b: FilePath, offset: float) -> list[tuple[Array, Array]]:
    """A few pairs from the first seconds, to find an alignment from."""
    with VideoReader(a) as first, VideoReader(b, offset) as second:
        pairs = Pairs(first, second)
        early = islice(pairs.moments(), 0, SAMPLES * APART, APART)
        found = [(one.pixels, other.pixels) for one, other in early]
        if not found:
            raise _apart(pairs)
        return found if pairs.a_leads else [(a, b) for b, a in found]


def _apart(pairs: Pairs) -> InputError:
    return InputError(
        f"{pairs.a.span()} and {pairs.b.span()}: no frame of one was shown with one of the other; offset (--offset "
        "SECONDS) moves the second video in time"
    )


class _Work:
    """Two videos on their way through a model into a file."""

    def __init__(self, fuser: Fuser, rig: Rig, pairs: Pairs, execution: Execution) -> None:
        self._fuser, self._rig, self._pairs = fuser, rig, pairs
        self._execution = Execution(execution.tile, execution.memory, progress=False)
        self._times: list[float] = []  # of pairs that are being fused

    def write(self, temporary: Path, shown: Path, codec: str | None, sound: VideoReader | None, report: Steps) -> int:
        """Fuse all pairs into the file; returns how many there were. Raises InputError where there is none."""
        total = self._pairs.leading.count or 0
        fused = fused_frames(self._fuser, self._rig, self._alike(), self._execution)
        done = 0
        with Threads(1, "gifnet-write") as thread:
            first = next(fused, None)
            if first is None:
                raise _apart(self._pairs)
            start = self._times[0]
            rate = self._pairs.leading.rate
            with VideoWriter(temporary, shown, rate, codec, sound, start) as writer:
                writing: Pending[None] | None = None
                for pixels in chain([first], fused):
                    if writing is not None:
                        writing.result()  # no more than one waits
                    writing = thread.submit(writer.write, _plain(pixels), self._times.pop(0) - start)
                    done += 1
                    report(done, max(done, total))
                if writing is not None:
                    writing.result()
        report(done, done)
        return done

    def _alike(self) -> Iterator[tuple[Array, Array]]:
        """The pairs, both frames of the deeper one's depth; each as large as the first."""
        first: Pair | None = None
        for pair in self._pairs:
            first = first or pair
            for pixels, own, video in ((pair.a, first.a, self._pairs.a), (pair.b, first.b, self._pairs.b)):
                check_size(pixels, own.shape, str(video.path))
            self._times.append(pair.time)
            deep = np.uint16 in (pair.a.dtype, pair.b.dtype)
            yield (_deep(pair.a), _deep(pair.b)) if deep else (pair.a, pair.b)


def _deep(pixels: Array) -> Array:
    return pixels if pixels.dtype == np.uint16 else pixels.astype(np.uint16) * 257


def _plain(pixels: Any) -> Array:
    """A fused frame as an encoder takes it: (H, W), or (H, W, 3)."""
    array = np.asarray(pixels)
    return array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
