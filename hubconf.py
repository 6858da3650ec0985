"""For ``torch.hub.load(REPOSITORY_OR_FOLDER, NAME)``: each function gives a ``gifnet.Fuser`` of a network.

``torch.hub.list`` shows them. gifnet is taken from this checkout; what it needs must be installed (``dependencies``).
"""

from typing import Any as _Any

from gifnet import Fuser as _Fuser  # under other names: whatever can be called here is offered

dependencies = ["torch", "numpy", "PIL", "einops", "safetensors", "huggingface_hub", "tqdm"]


def gifnet(weights: str = "gifnet", **options: _Any) -> _Fuser:
    """GIFNet (Cheng et al., CVPR 2025), with the bundled weights, or others.

    ``weights`` and ``options`` (``device``, ``dtype``, ``sha256``, ``revision`` and so on) are those of
    ``gifnet.Fuser.from_pretrained``. The result's ``fuse`` and ``enhance`` take and give images.
    """
    return _Fuser.from_pretrained(weights, **options)


def gifnet_fast(weights: str = "gifnet-fast", **options: _Any) -> _Fuser:
    """gifnet-fast, the small network for live images, as ``gifnet`` above."""
    return _Fuser.from_pretrained(weights, **options)


def tita(weights: str = "tita", **options: _Any) -> _Fuser:
    """TITA (Hu et al., ICCV 2025), as ``gifnet`` above. Without bundled weights, ``weights`` must name some."""
    return _Fuser.from_pretrained(weights, **options)
