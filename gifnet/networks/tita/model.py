"""TITA as the paper draws it (Hu et al., ICCV 2025): the plain form, for reading and training.

The form that inference runs is built from it (``folded.py``, ``inference.py``) and gives the same result.
"""

import torch
from torch import Tensor, nn

from ..padding import reflect_pad
from ..planes import check_planes
from .config import TITAConfig
from .extraction import Extraction
from .interaction import Interaction
from .oaf import OAF
from .reconstruction import Reconstruction


class TITA(nn.Module):
    """Two luminance planes -> extraction -> interaction with IPA -> OAF -> reconstruction -> one fused plane."""

    def __init__(self, config: TITAConfig | None = None) -> None:
        super().__init__()
        self.config = config or TITAConfig()
        self.norm = nn.LayerNorm(self.config.channels)  # of what each of the three stages of blocks begins with
        self.extraction = Extraction(self.config)
        self.interaction = Interaction(self.config)
        self.oaf = OAF(self.config)
        self.reconstruction = Reconstruction(self.config)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Fuse two planes (B, 1, H, W), floating point in [0, 1], H and W >= 1.

        In infrared-visible pairs ``a`` is the visible. Returns (B, 1, H, W) in [0, 1].
        """
        return self.predict(a, b).clamp(0, 1)

    def predict(self, a: Tensor, b: Tensor) -> Tensor:
        """As ``forward``, but not clamped: what training compares."""
        check_planes(a, b)
        height, width = a.shape[-2:]
        x, y = self.interact(a, b)
        fused: Tensor = self.reconstruction(self.norm(self.oaf(x, y)))
        return fused[..., :height, :width]

    def interact(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """Both streams' features (B, H', W', C) before they are fused; H' and W' are multiples of the window."""
        height, width = a.shape[-2:]
        window = self.config.window
        a, b = (reflect_pad(plane, 0, -width % window, 0, -height % window) for plane in (a, b))
        x, y = self.extraction(a, b, self.norm)
        streams: tuple[Tensor, Tensor] = self.interaction(self.norm(x), self.norm(y))
        return streams

    def operation_weights(self, a: Tensor, b: Tensor) -> Tensor:
        """OAF's six weights (B, 6) for two planes: of ``oaf.OPERATIONS`` on the first stream, then on the second."""
        x, y = self.interact(a, b)
        return self.oaf.weights(torch.cat([x, y], dim=-1).mean(dim=(1, 2)))
