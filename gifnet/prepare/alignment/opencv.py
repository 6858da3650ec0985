"""OpenCV, the extra ``[align]``."""

from typing import Any

from ...extras import require


def opencv() -> Any:
    """The module. Raises MissingExtraError."""
    return require("cv2", extra="align", purpose="aligning")
