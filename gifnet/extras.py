"""Optional packages, imported when the work needs one; a missing one is named, with the command to install it."""

from importlib import import_module
from types import ModuleType

from .errors import MissingExtraError

_NAMES = {"cv2": "OpenCV"}  # packages known by another name than the one they are imported by


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """Import and return ``module``, which the extra ``gifnet[extra]`` installs.

    Args:
        module: the name to import, such as "tifffile" or "torchmetrics.functional.image".
        extra: the extra that installs its package.
        purpose: what needs it; the subject of the sentence "... needs tifffile".

    Raises:
        MissingExtraError: it is not installed, or its import fails.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        reason = "" if isinstance(error, ModuleNotFoundError) else f", whose import fails ({error})"
        message = f"{purpose} needs {_NAMES.get(package, package)}{reason}: pip install 'gifnet[{extra}]'"
        raise MissingExtraError(message) from error
