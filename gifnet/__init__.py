"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).

``fuse(a, b)`` combines two or more aligned images of one scene, ``enhance(x)`` improves one, ``load(...)`` gives the
model behind both. ``fuse_files`` and ``fuse_folders`` work on files, ``fuse_video`` and ``fuse_frames`` on videos and
cameras, ``pansharpen`` on multispectral bands; ``align`` brings two images into line, and ``export_onnx`` writes a
model for other programs.

Each name is imported when it is first used, so that a part of the package can be imported without the others.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import AlignmentError, CheckpointError, InputError, MissingExtraError
from .version import __version__

if TYPE_CHECKING:
    from .api import enhance, fuse, load
    from .batch.files import enhance_file, fuse_files
    from .batch.folders import enhance_folder, fuse_folders
    from .export.onnx_file import export_onnx
    from .fuser import Fuser
    from .pansharpening.dispatch import pansharpen
    from .prepare.alignment import Alignment, align
    from .video.frames import fuse_frames
    from .video.fusing import fuse_video

__all__ = [
    "Alignment",
    "AlignmentError",
    "CheckpointError",
    "Fuser",
    "InputError",
    "MissingExtraError",
    "__version__",
    "align",
    "enhance",
    "enhance_file",
    "enhance_folder",
    "export_onnx",
    "fuse",
    "fuse_files",
    "fuse_folders",
    "fuse_frames",
    "fuse_video",
    "load",
    "pansharpen",
]

_HOMES = {
    "Alignment": "prepare.alignment",
    "Fuser": "fuser",
    "align": "prepare.alignment",
    "enhance": "api",
    "enhance_file": "batch.files",
    "enhance_folder": "batch.folders",
    "export_onnx": "export.onnx_file",
    "fuse": "api",
    "fuse_files": "batch.files",
    "fuse_folders": "batch.folders",
    "fuse_frames": "video.frames",
    "fuse_video": "video.fusing",
    "load": "api",
    "pansharpen": "pansharpening.dispatch",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
