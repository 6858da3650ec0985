"""A microscope's focus stack, the pages of one TIFF: aligned, fused, and its depth map.

    python examples/microscope_stack.py STACK.tif OUT.png DEPTH.png [STEP]

The depth map has 16 bits, 0 for the first page and 65535 for the last. With STEP, the distance between two pages in
micrometres, the heights that it spans are printed. Needs the extra [align].
"""

import sys

import numpy as np
from PIL import Image

import gifnet

if len(sys.argv) not in (4, 5):
    sys.exit(__doc__)
stack, out, depth = sys.argv[1:4]
gifnet.fuse_files(stack, None, out, align=True, depth=depth)
if len(sys.argv) == 5:
    pages = getattr(Image.open(stack), "n_frames", 1)
    heights = np.asarray(Image.open(depth)) / 65535 * (pages - 1) * float(sys.argv[4])
    low, middle, high = np.percentile(heights, (1, 50, 99))
    print(f"heights above the first page: {low:.1f} to {high:.1f} µm, half of it below {middle:.1f} µm")
