"""TITA (Hu et al., ICCV 2025) in pure tensors: a file per stage, named as in the paper."""

from ..registry import Architecture, register
from . import graph, inference, official
from .config import TITAConfig
from .model import TITA

__all__ = ["TITA", "TITAConfig"]

register(
    Architecture(
        name="tita",
        config=TITAConfig,
        network=TITA,
        inference_form=inference.inference_form,
        graph=graph.write_fusing,
        first="visible",
        converter=official.CONVERTER,
        objective="gifnet.training.objectives.tita:TITAObjective",
        weights=None,  # none are bundled
    )
)
