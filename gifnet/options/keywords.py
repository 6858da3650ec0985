"""The options of overloaded functions as keyword arguments, for type checkers.

``fuse`` and ``enhance`` have overloads, so that their result has the type of their input. These are written with
``**options: Unpack[FuseImagesOptions]``; the functions themselves name each option. Those that also take a model are
in ``gifnet.models``.
"""

from typing import Any, TypedDict

from .values import Align, Colour, Memory, Progress, Resize, Stretch, Tile


class EnhanceImageOptions(TypedDict, total=False):
    """Of ``Fuser.enhance``."""

    page: int | None
    stretch: Stretch
    tile: Tile
    memory: Memory
    progress: Progress
    out: Any


class FuseImagesOptions(EnhanceImageOptions, total=False):
    """Of ``Fuser.fuse``."""

    resize: Resize
    colour: Colour
    align: Align
    max_shift: float
    max_rotation: float
    max_scale: float
