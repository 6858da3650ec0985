"""Videos that the tests make, and what is in them."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from conftest import photo

from gifnet.video.reading import VideoReader

WIDTH, HEIGHT = 320, 256


def moving(count: int, channels: int, seed: int = 0, dtype: type = np.uint8, speed: int = 3) -> list[Any]:
    """So many frames of a view that moves to the right over a scene, (H, W, 3), or (H, W) for no channels."""
    wide = photo(HEIGHT, WIDTH + speed * count, channels, seed)
    wide = wide if dtype is np.uint8 else wide.astype(np.uint16) * 257
    return [np.ascontiguousarray(wide[:, speed * i : speed * i + WIDTH]) for i in range(count)]


def write(
    path: Path,
    frames: Iterable[np.ndarray],
    rate: float | Fraction = 25,
    codec: str = "ffv1",
    start: float = 0.0,
    tone: bool = False,
    rotation: float = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of these frames, lossless unless another codec is named; ``tone``: with a sound of the same length."""
    rate = Fraction(rate).limit_denominator(1001)
    frames = list(frames)
    height, width = frames[0].shape[:2]
    deep, grey = frames[0].dtype == np.uint16, frames[0].ndim == 2
    kind = ("gray16le" if deep else "gray") if grey else ("gbrp16le" if deep else "bgr0")
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = width, height, kind if codec == "ffv1" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        sound: Any = container.add_stream("pcm_s16le" if path.suffix == ".mkv" else "aac", rate=8000) if tone else None
        if rotation:
            stream.set_display_rotation(rotation)
        for index, pixels in enumerate(frames):
            source = ("gray16le" if deep else "gray") if grey else ("rgb48le" if deep else "rgb24")
            frame = av.VideoFrame.from_ndarray(pixels, format=source)
            frame = frame if source == stream.pix_fmt else frame.reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = round(1000 * (start + index / rate)), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            count = int(8000 * len(frames) / rate)
            wave = (8000 * np.sin(np.arange(count) * 2 * np.pi * 440 / 8000)).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
            samples.sample_rate, samples.pts = 8000, 0
            resampler = av.AudioResampler(format=sound.format, layout="mono", rate=8000)
            for part in resampler.resample(samples):
                container.mux(sound.encode(part))
            container.mux(sound.encode(None))
    return path


def read(path: Path) -> tuple[list[float], list[np.ndarray]]:
    """Times and frames."""
    with VideoReader(path) as reader:
        moments = list(reader.moments())
    return [moment.time for moment in moments], [moment.pixels for moment in moments]
