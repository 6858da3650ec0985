"""What a GIFNet is made of; saved beside its weights."""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

Branch = Literal["mm", "dp"]
BRANCHES: tuple[Branch, ...] = get_args(Branch)
Head = Literal["plane", "blend"]
HEADS: tuple[Head, ...] = get_args(Head)
LARGEST_TABLE = 1 << 26  # values made of weights, 256 MiB: else a small file could ask for any amount of memory


def other_branch(main: Branch) -> Branch:
    """The auxiliary branch when ``main`` is the main one."""
    return "mm" if main == "dp" else "dp"


@dataclass(frozen=True)
class GIFNetConfig:
    """Dimensions of the network, which CFGM branch is the main one at inference, and what G-Dec's last layer gives.

    ``main`` is ``"dp"`` (digital photography, as the paper's released code has it for every task) or
    ``"mm"`` (multi-modal). ``enhance_main`` is the main branch where one image is enhanced; None: ``main``.

    ``head`` is ``"plane"``, the paper's: the last convolution gives the fused plane itself; or ``"blend"``, gifnet's
    own: it gives a choice between the two planes and a correction (see ``decoder.blend``).
    """

    ADDED: ClassVar[frozenset[str]] = frozenset({"enhance_main", "head"})  # fields that older files lack

    growth: int = 32  # channels that each of the encoder's three layers adds
    heads: int = 2
    window: int = 8  # pixels a side
    mlp_ratio: int = 2
    position_hidden: int = 256  # hidden units of the position-bias MLP
    main: Branch = "dp"
    enhance_main: Branch | None = None
    head: Head = "plane"

    def __post_init__(self) -> None:
        if self.main not in BRANCHES:
            raise ValueError(f"main must be one of {BRANCHES}, not {self.main!r}")
        if self.enhance_main not in (None, *BRANCHES):
            raise ValueError(f"enhance_main must be None or one of {BRANCHES}, not {self.enhance_main!r}")
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {HEADS}, not {self.head!r}")
        for name in ("growth", "heads", "window", "mlp_ratio", "position_hidden"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise ValueError(f"{name} must be a positive integer, not {value!r}")
        if self.channels % self.heads:
            raise ValueError(f"{self.channels} channels (2 + 3 * growth) do not divide into {self.heads} heads")
        if self.window % 4 or self.window > 32:  # attention's cost grows with the window's area
            raise ValueError(f"window must be a multiple of 4 up to 32, not {self.window}")
        for what, count in (
            (f"{self.heads} heads", self.window**4 * self.heads),
            (f"position_hidden {self.position_hidden}", (2 * self.window - 1) ** 2 * self.position_hidden),
        ):
            if count > LARGEST_TABLE:
                raise ValueError(
                    f"window {self.window} with {what} needs a table of {count} values; {LARGEST_TABLE} are the most"
                )

    @property
    def channels(self) -> int:
        """Channels of the shared features: both planes and the three layers' outputs."""
        return 2 + 3 * self.growth
