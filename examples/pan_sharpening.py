"""Pan-sharpening: every band of a multispectral image takes on the detail of the panchromatic one.

    python examples/pan_sharpening.py MS.npy PAN.npy OUT.npy
    python examples/pan_sharpening.py MS.tif PAN.tif OUT.tif

The arrays are (H, W, bands) and (H', W'), of one extent; the rasters (they need the extra [geo]) are placed by their
georeferences. Bands in files of their own are given to ``pansharpen_files`` as a list. ``gifnet.pansharpen`` says how
it is done, and benchmarks/pansharpening.py how well.
"""

import sys
from pathlib import Path

import numpy as np

import gifnet

if len(sys.argv) != 4:
    sys.exit(__doc__)
ms, pan, out = sys.argv[1:]
if Path(ms).suffix == ".npy":
    np.save(out, gifnet.pansharpen(np.load(ms), np.load(pan)))
else:
    from gifnet.pansharpening.rasters import pansharpen_files

    pansharpen_files(ms, pan, out)
