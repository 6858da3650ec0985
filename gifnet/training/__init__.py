"""Training: a loop for any network, data and losses, and an objective for each network. Needs the extra ``[train]``."""

from ..extras import require


def check_installed() -> None:
    """Raises MissingExtraError, before the work and not after it, unless the extra ``[train]`` is installed."""
    for module in ("torchmetrics", "matplotlib"):
        require(module, extra="train", purpose="training")
