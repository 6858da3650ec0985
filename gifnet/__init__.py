"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).

``fuse(a, b)`` combines two aligned images of one scene, ``enhance(x)`` improves one, ``load(...)`` gives the model
behind both. ``align(a, b)`` brings a pair that does not quite line up onto one grid.
"""

from .alignment import Alignment, align
from .api import enhance, fuse, load
from .errors import AlignmentError, CheckpointError, InputError
from .filefusion import enhance_file, fuse_files
from .fuser import Fuser

__version__ = "0.1.0"
__all__ = [
    "Alignment",
    "AlignmentError",
    "CheckpointError",
    "Fuser",
    "InputError",
    "align",
    "enhance",
    "enhance_file",
    "fuse",
    "fuse_files",
    "load",
]
