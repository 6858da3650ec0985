"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).

``fuse(a, b)`` combines two aligned images of one scene, ``enhance(x)`` improves one, ``load(...)`` gives the model
behind both.
"""

from .api import enhance, fuse, load
from .errors import CheckpointError, InputError
from .filefusion import enhance_file, fuse_files
from .fuser import Fuser

__version__ = "0.1.0"
__all__ = ["CheckpointError", "Fuser", "InputError", "enhance", "enhance_file", "fuse", "fuse_files", "load"]
