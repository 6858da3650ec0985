"""GIFNet as the paper draws it (Cheng et al., CVPR 2025): the plain form, for reading and training.

The form that inference runs is built from it (``folded.py``, ``inference.py``) and gives the same result.
"""

import torch
from torch import Tensor, nn

from ..planes import check_planes
from .cfgm import CFGM
from .config import Branch, GIFNetConfig
from .decoder import GlobalDecoder, ReconstructionDecoder
from .encoder import SharedEncoder


class GIFNet(nn.Module):
    """Two luminance planes -> S-Enc -> CFGM -> G-Dec -> one fused plane."""

    def __init__(self, config: GIFNetConfig | None = None) -> None:
        super().__init__()
        self.config = config or GIFNetConfig()
        self.encoder = SharedEncoder(self.config.growth)
        self.cfgm = CFGM(self.config)
        self.decoder = GlobalDecoder(self.config.channels, self.config.head)
        self.reconstruction = ReconstructionDecoder(self.config.channels)

    def forward(self, a: Tensor, b: Tensor, main: Branch | None = None) -> Tensor:
        """Fuse two planes (B, 1, H, W), floating point in [0, 1], H and W >= 1.

        In infrared-visible pairs ``a`` is the infrared. ``main`` overrides the configuration's main branch.
        Returns (B, 1, H, W) in [0, 1].
        """
        check_planes(a, b)
        shared = self.encoder(torch.cat([a, b], dim=1))
        gated = self.cfgm(shared, shared, main or self.config.main)
        fused: Tensor = self.decoder(shared, gated)
        return fused.clamp(0, 1)
