"""What a GIFNet is made of; saved beside its weights."""

from dataclasses import dataclass
from typing import Literal, get_args

Branch = Literal["mm", "dp"]
BRANCHES: tuple[Branch, ...] = get_args(Branch)


def other_branch(main: Branch) -> Branch:
    """The auxiliary branch when ``main`` is the main one."""
    return "mm" if main == "dp" else "dp"


@dataclass(frozen=True)
class GIFNetConfig:
    """Dimensions of the network, and which CFGM branch is the main one at inference.

    ``main`` is ``"dp"`` (digital photography, as the paper's released code has it for every task) or
    ``"mm"`` (multi-modal).
    """

    growth: int = 32  # channels that each of the encoder's three layers adds
    heads: int = 2
    window: int = 8  # pixels a side
    mlp_ratio: int = 2
    position_hidden: int = 256  # hidden units of the position-bias MLP
    main: Branch = "dp"

    def __post_init__(self) -> None:
        if self.main not in BRANCHES:
            raise ValueError(f"main must be one of {BRANCHES}, not {self.main!r}")
        for name in ("growth", "heads", "window", "mlp_ratio", "position_hidden"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.channels % self.heads:
            raise ValueError(f"{self.channels} channels (2 + 3 * growth) do not divide into {self.heads} heads")
        if self.window % 4 or self.window > 32:  # attention's cost grows with the window's area
            raise ValueError(f"window must be a multiple of 4 up to 32, not {self.window}")

    @property
    def channels(self) -> int:
        """Channels of the shared features: both planes and the three layers' outputs."""
        return 2 + 3 * self.growth
