"""How one image is run in the memory there is: what a network decides before it runs."""

from dataclasses import dataclass

from .memory import show_bytes


@dataclass(frozen=True)
class Plan:
    """How one image is run."""

    tile: int | None  # pixels a side; None: in one piece
    keep: tuple[str, ...]  # results of the network's stages, by its names for them
    bytes: int  # about how much memory that takes beside the images themselves

    def __str__(self) -> str:
        tile = "one piece" if self.tile is None else f"tiles of {self.tile} pixels"
        kept = f"keeping {', '.join(self.keep)}" if self.keep else "keeping nothing, computing all again"
        return f"{tile}, {kept}, about {show_bytes(self.bytes)}"
