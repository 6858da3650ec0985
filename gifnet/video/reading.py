"""Reading a video frame by frame: times, what is damaged, and errors that name the file."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError
from .colours import Array, Frame, library, pixels_of

GIVE_UP = 100  # packets in a row that can't be read, after which the file is taken to end
USUAL_RATE = Fraction(25)  # frames a second, where a file doesn't say


class Moment:
    """One frame and when it is shown; its pixels are converted when they are first asked for."""

    def __init__(self, time: float, frame: Frame) -> None:
        self.time = time  # seconds
        self._frame = frame
        self._pixels: Array | None = None

    @property
    def pixels(self) -> Array:
        """See ``colours.pixels_of``."""
        if self._pixels is None:
            self._pixels, self._frame = pixels_of(self._frame), None
        return self._pixels


class VideoReader:
    """The first video stream of a file that is no cover picture.

    Times are seconds from the start of the file, which is 0 whatever its time stamps begin with, plus ``offset``.
    Raises InputError, naming the file, for what is no video.
    """

    def __init__(self, path: str | os.PathLike[str], offset: float = 0.0) -> None:
        self.path, self.offset, self.damaged = Path(path), offset, 0
        av = library()
        self._errors: type[Exception] = av.error.FFmpegError
        if not self.path.is_file():
            raise InputError(f"{self.path}: {'is a folder' if self.path.is_dir() else 'no such file'}; give a video")
        try:
            self._container = av.open(os.fspath(self.path))
        except (av.error.FFmpegError, ValueError) as error:
            raise InputError(f"{self.path}: no video that can be read ({_reason(error)})") from error
        streams = [stream for stream in self._container.streams.video if not _is_cover(stream)]
        if not streams or streams[0].codec_context is None:
            self._container.close()
            raise InputError(f"{self.path}: holds no video")
        self._stream = streams[0]
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.options = {"err_detect": "explode"}  # say what is damaged, rather than conceal it
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or USUAL_RATE)  # frames a second
        start = self._container.start_time
        self.start = 0.0 if start is None else start / 1e6  # what the file's own time stamps begin with

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()

    @property
    def count(self) -> int | None:
        """About how many frames there are, if the file says."""
        if self._stream.frames:
            return int(self._stream.frames)
        duration = self.duration
        return None if duration is None else max(1, round(duration * float(self.rate)))

    @property
    def duration(self) -> float | None:
        """Seconds, if the file says."""
        if self._container.duration is not None:
            return float(self._container.duration / 1e6)
        return None

    def span(self) -> str:
        """The time that it covers, for messages."""
        end = "its end" if self.duration is None else f"{self.offset + self.duration:.2f} s"
        return f"{self.path} from {self.offset:.2f} s to {end}"

    def moments(self) -> Iterator[Moment]:
        """Its frames in the order of their times; those that are damaged are left out, and counted in ``damaged``."""
        number = 0
        for packet in self._packets():
            try:
                frames = packet.decode()
            except self._errors:
                self.damaged += 1
                continue
            for frame in frames:
                time = number / float(self.rate) if frame.pts is None else self._seconds(frame)
                number += 1
                if frame.is_corrupt:
                    self.damaged += 1
                else:
                    yield Moment(time, frame)

    def _seconds(self, frame: Frame) -> float:
        return float(frame.pts * (frame.time_base or self._stream.time_base)) - self.start + self.offset

    def _packets(self) -> Iterator[Any]:
        """Those of the stream, the last an empty one that makes the decoder give what it holds back."""
        failed = 0
        packets = self._container.demux(self._stream)
        while failed < GIVE_UP:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except self._errors:
                failed, self.damaged = failed + 1, self.damaged + 1
                packets = self._container.demux(self._stream)  # goes on where it stopped
                continue
            failed = 0
            yield packet


def _is_cover(stream: Any) -> bool:
    """A picture that music players show."""
    kind = library().stream.Disposition
    return bool(stream.disposition & kind.attached_pic)


def _reason(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())
