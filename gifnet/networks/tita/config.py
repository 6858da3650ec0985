"""What a TITA is made of; saved beside its weights."""

from dataclasses import dataclass, fields

MOST_BLOCKS = 256
LARGEST_TABLE = 1 << 26  # values that are made of weights


@dataclass(frozen=True)
class TITAConfig:
    """Dimensions of the network; the defaults are the paper's."""

    channels: int = 60
    heads: int = 6
    window: int = 8  # pixels a side
    mlp_ratio: int = 2
    depth: int = 4  # blocks of a group; every other one is shifted by half a window
    groups: int = 2  # of cross blocks

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{field.name} must be a positive integer, not {value!r}")
        if self.channels % 4:
            raise ValueError(f"channels must be a multiple of 4, not {self.channels}")
        if self.channels % self.heads:
            raise ValueError(f"{self.channels} channels do not divide into {self.heads} heads")
        if self.window % 2 or self.window > 32:  # attention's cost grows with the window's area
            raise ValueError(f"window must be an even number up to 32, not {self.window}")
        # Else a small file could ask for any amount of time and memory.
        if self.depth * self.groups > MOST_BLOCKS or self.window**4 * self.heads > LARGEST_TABLE:
            raise ValueError(
                f"depth {self.depth}, groups {self.groups}, window {self.window} and {self.heads} heads are too many: "
                f"{MOST_BLOCKS} blocks and tables of {LARGEST_TABLE} values are the most"
            )
