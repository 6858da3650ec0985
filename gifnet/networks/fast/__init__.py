"""gifnet-fast: a small network of gifnet's own, for live images and large ones; pure tensors."""

from ..registry import Architecture, register
from . import graph, inference
from .config import FastConfig
from .model import FastNetwork

__all__ = ["FastConfig", "FastNetwork"]

register(
    Architecture(
        name="gifnet-fast",
        config=FastConfig,
        network=FastNetwork,
        inference_form=inference.inference_form,
        enhancing_form=inference.enhancing_form,
        graph=graph.write_fusing,
        enhancing_graph=graph.write_enhancing,
        first="infrared",
        objective="gifnet.training.objectives.fast:FastObjective",
        weights="gifnet-fast.safetensors",
    )
)
