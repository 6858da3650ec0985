"""The settings of the fast network's training."""

from dataclasses import dataclass, field

from ....errors import InputError
from ...data import DataConfig
from ...defocus import DefocusConfig
from ...degradation import DegradationConfig
from ...lens import LensConfig
from ...losses import LossConfig
from ...recipe import Recipe
from ...tasks import TaskConfig


@dataclass(frozen=True)
class TeacherConfig:
    """The network whose results are learned where there is no truth: of two modalities, and of two exposures."""

    model: str = "gifnet"  # as for ``gifnet.load``
    every: int = 3  # every so many iterations, for it takes longer than the rest of one; 0: never
    modal: float = 4.0  # of the distance from its result, of two modalities
    exposure: float = 2.0  # of the same, of two exposures
    absolute: float = 1.0  # of that mean absolute difference, times the weights above
    structure: float = 0.1  # of 1 - SSIM with its result, likewise
    detail: float = 0.0  # of the mean absolute difference of the gradient from its result's, likewise
    lessons: int = 0  # so many pairs that it fuses before the first iteration, in place of speaking as the run goes
    side: int = 256  # of those pairs, pixels
    dtype: str = "float32"  # that it computes in

    def __post_init__(self) -> None:
        if self.lessons and not self.every:
            raise InputError("teacher: lessons and every=0; leave every as it is, and it speaks in lessons alone")
        if not self.model:
            raise InputError("teacher.model: give a model as for gifnet.load; teacher.every=0 is for none")


@dataclass(frozen=True)
class FastRecipe(Recipe):
    """One run's recipe for a fast network; the defaults are a first guess, near to those of GIFNet's own stages."""

    iterations: int = 12000
    rate: float = 2e-3
    final_rate: float = 0.01
    warmup: int = 200
    data: DataConfig = field(
        default_factory=lambda: DataConfig(
            crop=96, batch=8, half_share=0.3, tone_share=0.4, invert_share=0.1, exposure_share=0.0
        )
    )
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    tasks: TaskConfig = field(default_factory=lambda: TaskConfig(band_share=0.15, scene_share=0.15, enhance_every=5))
    lens: LensConfig = field(default_factory=LensConfig)
    defocus: DefocusConfig = field(
        default_factory=lambda: DefocusConfig(
            blur=(0.6, 5), edge=(0.5, 8), soft_share=0.03, soft_blur=(0.3, 0.6), whole_share=0.06
        )
    )
    degradation: DegradationConfig = field(
        default_factory=lambda: DegradationConfig(noise_share=0.6, noise=0.012, jpeg_share=0.15, jpeg_quality=(60, 95))
    )
    losses: LossConfig = field(
        default_factory=lambda: LossConfig(
            detail=8, detail_octaves=4, modal_structure=0.25, modal_information=0.5, exposure=2,
            photography=10, absolute=0.2, structure=0.02, enhance=0.6,
        )
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.losses.phi != "gradient":
            raise InputError("losses.phi: the fast network's training has no other than 'gradient'")
