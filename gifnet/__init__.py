"""Image fusion with one model: GIFNet (Cheng et al., CVPR 2025).

``fuse(a, b)`` combines two or more aligned images of one scene, ``enhance(x)`` improves one, ``pansharpen(ms, pan)``
sharpens multispectral bands, ``load(...)`` gives the model behind them.
"""

from .api import enhance, fuse, load
from .errors import CheckpointError, InputError
from .fuser import Fuser
from .pansharpen import pansharpen

__version__ = "0.1.0"
__all__ = ["CheckpointError", "Fuser", "InputError", "enhance", "fuse", "load", "pansharpen"]
