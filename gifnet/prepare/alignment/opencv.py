"""OpenCV, the extra ``[align]``."""

from typing import Any


def opencv() -> Any:
    """The module. Raises ImportError, saying how to install it."""
    try:
        import cv2
    except ImportError as error:
        raise ImportError("aligning needs OpenCV: pip install 'gifnet[align]'") from error
    return cv2
