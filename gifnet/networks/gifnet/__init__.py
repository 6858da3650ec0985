"""GIFNet (Cheng et al., CVPR 2025) in pure tensors: a file per stage, named as in the paper."""

from ..registry import Architecture, register
from . import graph, inference, official
from .config import Branch, GIFNetConfig
from .model import GIFNet

__all__ = ["Branch", "GIFNet", "GIFNetConfig"]

register(
    Architecture(
        name="gifnet",
        config=GIFNetConfig,
        network=GIFNet,
        inference_form=inference.inference_form,
        enhancing_form=inference.enhancing_form,
        graph=graph.write_fusing,
        enhancing_graph=graph.write_enhancing,
        first="infrared",
        converter=official.CONVERTER,
        objective="gifnet.training.objectives.gifnet:GIFNetObjective",
        weights="gifnet.safetensors",
    )
)
