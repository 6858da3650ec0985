"""What becomes a result's pixels: a picture as it is, or a fused luminance with the chroma beside it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from .execution.form import Sink
from .execution.margins import Margins
from .execution.progress import reporter
from .execution.running import Execution
from .execution.tiles import cut
from .images.canvas import Canvas, canvas_for
from .images.chroma import MARGIN
from .images.merging import Merged, enhanced, with_chroma_of, with_chroma_of_both
from .images.picture import ReadablePicture
from .regions import Region

COPIED = 1024  # pixels a side of what is copied at once


def copied(picture: ReadablePicture, execution: Execution, out: Any) -> Any:
    """A picture as it is, in its own kind or in ``out``."""
    canvas = canvas_for(picture.info(), (picture,), out)
    count, (height, width) = picture.layout.count, picture.layout.sides
    regions = list(cut(Region(0, height, 0, width), COPIED))
    with reporter(execution.progress) as report:
        for done in range(count * len(regions)):
            index, region = done // len(regions), regions[done % len(regions)]
            canvas.write(index, region, *picture.region(index, region))
            report(done + 1, count * len(regions))
    return canvas.result()


def sinks(
    canvas: Canvas, first: ReadablePicture, second: ReadablePicture, strength: float | None
) -> Callable[[int], Sink]:
    """For the image number i of two pictures: where its fused luminance goes, to become pixels on a canvas."""
    merge: Callable[..., Merged]
    if strength is not None:
        merge = partial(enhanced, first, strength)
        return _into(canvas, merge)
    shown = first.shows_colour(), second.shows_colour()  # which may take reading all of them
    if all(shown):
        height, width = first.layout.sides
        merge = partial(with_chroma_of_both, first, second)

        def sink_with_margin(index: int) -> Sink:
            def sink(region: Region, grown: Region, fused: Tensor) -> None:
                canvas.write(index, region, *merge(index, region, grown, fused))

            return Margins(Region(0, height, 0, width), MARGIN, sink)

        return sink_with_margin
    coloured = second if not first.coloured or shown[1] else first
    return _into(canvas, partial(with_chroma_of, coloured, first, second))


def _into(canvas: Canvas, merge: Callable[..., Merged]) -> Callable[[int], Sink]:
    def sink_of(index: int) -> Sink:
        def sink(region: Region, fused: Tensor) -> None:
            canvas.write(index, region, *merge(index, region, fused))

        return sink

    return sink_of
