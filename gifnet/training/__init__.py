"""Training GIFNet as the paper does: data, the two alternating steps, their losses, and the loop. Extra ``[train]``."""

from ..extras import require


def check_installed() -> None:
    """Raises MissingExtraError, before the work and not after it, unless the extra ``[train]`` is installed."""
    for module in ("torchmetrics", "matplotlib"):
        require(module, extra="train", purpose="training")
