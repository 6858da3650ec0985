"""Multi-exposure: an under- and an overexposed photograph become one that shows shadows and lights.

    python examples/multi_exposure.py [DARK BRIGHT] OUT.png

Without DARK and BRIGHT, the pair in examples/data is fused.
"""

import sys
from pathlib import Path

import gifnet

DATA = Path(__file__).parent / "data"
if len(sys.argv) not in (2, 4):
    sys.exit(__doc__)
*pair, out = sys.argv[1:]
dark, bright = pair or (DATA / "exposure_a.jpg", DATA / "exposure_b.jpg")
gifnet.fuse(dark, bright).save(out)
