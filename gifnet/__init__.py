"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).

``fuse(a, b)`` combines two or more aligned images of one scene, ``enhance(x)`` improves one, ``load(...)`` gives the
model behind both. ``fuse_files`` and ``fuse_folders`` work on files, ``pansharpen`` on multispectral bands, and
``align`` brings two images into line.
"""

from .api import enhance, fuse, load
from .batch.files import enhance_file, fuse_files
from .batch.folders import enhance_folder, fuse_folders
from .errors import AlignmentError, CheckpointError, InputError, MissingExtraError
from .fuser import Fuser
from .pansharpening.arrays import pansharpen
from .prepare.alignment import Alignment, align

__version__ = "0.1.0"
__all__ = [
    "Alignment",
    "AlignmentError",
    "CheckpointError",
    "Fuser",
    "InputError",
    "MissingExtraError",
    "align",
    "enhance",
    "enhance_file",
    "enhance_folder",
    "fuse",
    "fuse_files",
    "fuse_folders",
    "load",
    "pansharpen",
]
