"""Writing a video: frames at their times, and another file's sound copied beside them."""

import os
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ..errors import InputError
from .codecs import encoding
from .colours import BT709, Array, frame_of, library, tags
from .reading import VideoReader

CLOCK = 90_000  # ticks a second of time stamps
BY_FRAMES = (".avi",)  # containers that know no time stamps, only a rate
SHORT_CLOCKS = ("mpeg4",)  # codecs whose clock has at most 65535 ticks a second


class VideoWriter:
    """Writes frames of one size to ``path``, which is replaced. ``rate``: frames a second, as players show it.

    Its first frame decides what the others are like. ``sound``: the video whose audio is copied, with ``start``, the
    time of that video at which the first frame is shown. Raises InputError where the file can't hold them.
    """

    def __init__(
        self, path: Path, shown: Path, rate: Fraction, codec: str | None, sound: VideoReader | None, start: float
    ) -> None:
        self._shown, self._rate, self._codec = shown, rate, codec  # ``shown``: the path for messages
        self._errors: type[Exception] = library().error.FFmpegError
        self._container = library().open(os.fspath(path), "w")
        self._stream: Any = None
        self._sound = None if sound is None else _Sound(sound, start)
        self._last = -1  # time stamp
        self._end = 0.0

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._sound is not None:
                self._sound.close()
            if kind is None:
                self._container.close()
            else:
                with suppress(Exception):  # the file is given up
                    self._container.close()

    def write(self, pixels: Array, time: float) -> None:
        """Add a frame, (H, W) or (H, W, 3), uint8 or uint16, shown at ``time`` seconds from the first one."""
        if self._stream is None:
            self._open(pixels)
        frame = frame_of(pixels, self._stream.pix_fmt)
        self._last = max(self._last + 1, round(time / self._tick))
        frame.pts, frame.time_base = self._last, self._tick
        self._end = time + 1 / float(self._rate)
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self._copy_sound(time)

    def _open(self, pixels: Array) -> None:
        height, width = pixels.shape[:2]
        chosen = encoding(self._shown, self._codec, width, height, pixels.ndim == 3, pixels.dtype == np.uint16)
        by_frames = self._shown.suffix.lower() in BY_FRAMES or chosen.codec in SHORT_CLOCKS
        self._tick = 1 / self._rate if by_frames else Fraction(1, CLOCK)
        try:
            stream = self._container.add_stream(chosen.codec, rate=self._rate, options=dict(chosen.options))
            stream.width, stream.height, stream.pix_fmt = width, height, chosen.pixel_format
            stream.codec_context.time_base = self._tick
            _tag(stream, chosen.pixel_format)
            if chosen.codec == "libx265" and self._shown.suffix.lower() != ".mkv":
                stream.codec_tag = "hvc1"  # without which Apple's players show nothing
            if self._sound is not None:
                self._sound.add_to(self._container)
            self._container.start_encoding()
        except (self._errors, ValueError) as error:
            what = f"{chosen.codec} ({chosen.pixel_format})"
            if self._sound is not None and self._sound.codec:
                what += f" with {self._sound.codec} sound"
            raise InputError(
                f"{self._shown}: can't hold {what}: {' '.join(str(error).split())}; .mkv holds nearly everything, and "
                "mute=True (--mute) leaves the sound out"
            ) from error
        self._stream = stream

    def _copy_sound(self, until: float) -> None:
        if self._sound is not None:
            for packet in self._sound.packets(until):
                self._container.mux(packet)

    def _finish(self) -> None:
        if self._stream is None:
            return
        for packet in self._stream.encode(None):
            self._container.mux(packet)
        self._copy_sound(self._end)


def _tag(stream: Any, pixel_format: str) -> None:
    """Say in the file how its colours are meant."""
    context = stream.codec_context
    if library().VideoFormat(pixel_format).is_rgb or pixel_format.startswith("gray"):
        context.color_range = 2
        return
    matrix, full = tags(pixel_format)
    context.colorspace, context.color_range = matrix, 2 if full else 1
    context.color_primaries = context.color_trc = BT709


class _Sound:
    """The first audio stream of a file, its packets as they are, later or earlier."""

    def __init__(self, video: VideoReader, start: float) -> None:
        self._container = library().open(os.fspath(video.path))
        self._begin = start - video.offset + video.start  # on the file's own clock
        self._source = next(iter(self._container.streams.audio), None)
        self._target: Any = None
        self._packets = iter(()) if self._source is None else self._shifted()
        self._held: tuple[float, Any] | None = None

    @property
    def codec(self) -> str:
        """Its name; nothing where there is no sound."""
        return "" if self._source is None else str(self._source.codec_context.name)

    def add_to(self, container: Any) -> None:
        """Make a stream for it."""
        if self._source is not None:
            self._target = container.add_stream_from_template(self._source)

    def packets(self, until: float) -> Iterator[Any]:
        """The next ones, up to a time in seconds from the first frame."""
        while True:
            self._held = self._held or next(self._packets, None)
            if self._held is None or self._held[0] > until:
                return
            packet, self._held = self._held[1], None
            yield packet

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def _shifted(self) -> Iterator[tuple[float, Any]]:
        """All from the first frame on, with their times from there; damage ends them."""
        assert self._source is not None
        shift = round(self._begin / self._source.time_base)
        with suppress(library().error.FFmpegError):
            for packet in self._container.demux(self._source):
                if packet.dts is None or packet.pts is None:
                    continue
                if packet.pts + (packet.duration or 0) < shift:  # what ends there may be what decoders start from
                    continue
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self._target
                yield float(packet.pts * self._source.time_base), packet
