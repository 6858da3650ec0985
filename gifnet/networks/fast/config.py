"""What the fast network is made of; saved beside its weights."""

from dataclasses import dataclass


@dataclass(frozen=True)
class FastConfig:
    """Channels and layers of each resolution, and how much the network may add to its choice."""

    half: int = 32  # channels at half resolution
    quarter: int = 40  # at a quarter and at an eighth
    half_layers: int = 3  # convolutions at half resolution on the way down, and again on the way up
    quarter_layers: int = 3
    eighth_layers: int = 1
    correction: float = 0.5  # the most that may be added, of how far the sources differ around a pixel

    def __post_init__(self) -> None:
        for name in ("half", "quarter", "half_layers", "quarter_layers", "eighth_layers"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1024:
                raise ValueError(f"{name} must be a whole number from 1 to 1024, not {value!r}")
        number = isinstance(self.correction, (int, float)) and not isinstance(self.correction, bool)
        if not number or not 0 <= self.correction <= 1:
            raise ValueError(f"correction must be a number from 0 to 1, not {self.correction!r}")
