"""The settings of GIFNet's training."""

from dataclasses import dataclass, field

from ....errors import InputError
from ....networks.gifnet.config import BRANCHES, HEADS
from ...defocus import DefocusConfig
from ...degradation import DegradationConfig
from ...lens import LensConfig
from ...losses import LossConfig
from ...recipe import Recipe
from ...tasks import TaskConfig

DECODER_LAYERS = 4  # convolutions of G-Dec after its two 1x1 ones


@dataclass(frozen=True)
class GIFNetRecipe(Recipe):
    """One run's recipe for a GIFNet."""

    mixed_share: float = 0.0  # of the MM step's pairs that are near- and far-focused ones, so that MM can do those too
    main: str = "keep"  # branch at inference: "mm", "dp", or "keep", the network's own (a new one's is "dp")
    enhance_main: str = "keep"  # branch where one image is enhanced: "mm", "dp", or "keep"
    head: str = "keep"  # of G-Dec: "plane", "blend", or "keep", the network's own; another one starts anew
    steps: str = "paper"  # "paper": its MM and DP steps; "tasks": all tasks in one batch, and enhancing (``tasks``)
    # "fusion": encoder, main branch and G-Dec by ``fusion_step``, in place of the MM and the DP step; "decoder": G-Dec.
    train_only: str = "all"
    fresh_decoder_layers: int = 0  # so many of G-Dec's last convolutions start anew; there are four
    tasks: TaskConfig = field(default_factory=TaskConfig)
    lens: LensConfig = field(default_factory=LensConfig)
    defocus: DefocusConfig = field(default_factory=DefocusConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    losses: LossConfig = field(default_factory=LossConfig)

    def __post_init__(self) -> None:
        for name, choices in (
            ("main", ("keep", *BRANCHES)),
            ("enhance_main", ("keep", *BRANCHES)),
            ("head", ("keep", *HEADS)),
            ("steps", ("paper", "tasks")),
            ("train_only", ("all", "fusion", "decoder")),
        ):
            if getattr(self, name) not in choices:
                raise InputError(f"recipe: {name} is {getattr(self, name)!r}; give one of {', '.join(choices)}")
        if self.fresh_decoder_layers > DECODER_LAYERS:
            raise InputError(f"recipe: fresh_decoder_layers must be 0 to {DECODER_LAYERS}")
