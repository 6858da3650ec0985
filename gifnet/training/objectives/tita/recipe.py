"""The settings of TITA's training."""

from dataclasses import dataclass, field

from ....errors import InputError
from ...data import DataConfig
from ...defocus import DefocusConfig
from ...degradation import DegradationConfig
from ...lens import LensConfig
from ...recipe import Recipe
from ...tasks import TaskConfig


@dataclass(frozen=True)
class PairConfig:
    """How each task's pairs are made. Shares are probabilities per crop."""

    gaussian_share: float = 0.3  # of the focus pairs that Gaussian blur makes, in place of a lens
    scene_share: float = 0.0  # of the focus pairs' originals that are visible images of the infrared-visible pairs
    real_exposure_share: float = 0.7  # of the exposure pairs, where there are real ones
    smooth_share: float = 0.0  # of the infrared-visible pairs whose infrared is blurred and dark outside a region

    def tasks(self) -> TaskConfig:
        """The same, as the data are told."""
        return TaskConfig(
            gaussian_share=self.gaussian_share,
            scene_share=self.scene_share,
            real_exposure_share=self.real_exposure_share,
            smooth_share=self.smooth_share,
            enhance_every=0,
        )


@dataclass(frozen=True)
class LossConfig:
    """Weights of a task's losses; the paper's are the defaults."""

    intensity: float = 20.0
    gradient: float = 20.0
    structure: float = 10.0
    exposure: float = 0.0  # of 1 - MEF-SSIM beside the exposures' losses
    focus_target: str = "sources"  # what focus pairs are compared with: "sources", the paper's, or "truth"

    def __post_init__(self) -> None:
        if self.focus_target not in ("sources", "truth"):
            raise InputError(f"recipe: losses.focus_target is {self.focus_target!r}; give one of sources, truth")


@dataclass(frozen=True)
class FAMOConfig:
    """How the tasks' weights are learned; the paper's are the defaults."""

    rate: float = 0.025
    decay: float = 1e-3


@dataclass(frozen=True)
class TITARecipe(Recipe):
    """One run's recipe for a TITA. The paper starts from SwinFusion's weights, at a tenth of this rate."""

    iterations: int = 20_000
    rate: float = 2e-4
    warmup: int = 500
    clip: float = 0.0  # largest gradient norm; 0: any, as in the paper
    balance: str = "famo"  # of the tasks: "famo", the paper's, or "equal" weights
    data: DataConfig = field(  # the batch is each task's; crops are 128 pixels made 64, as the paper's
        default_factory=lambda: DataConfig(crop=64, batch=2, tone_share=0.0, invert_share=0.0, half_share=1.0)
    )
    pairs: PairConfig = field(default_factory=PairConfig)
    lens: LensConfig = field(default_factory=LensConfig)
    defocus: DefocusConfig = field(default_factory=DefocusConfig)
    degradation: DegradationConfig = field(default_factory=lambda: DegradationConfig(noise_share=0.0))
    losses: LossConfig = field(default_factory=LossConfig)
    famo: FAMOConfig = field(default_factory=FAMOConfig)

    def __post_init__(self) -> None:
        if self.balance not in ("famo", "equal"):
            raise InputError(f"recipe: balance is {self.balance!r}; give one of famo, equal")
