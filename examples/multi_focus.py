"""Multi-focus: two photographs focused at different distances become one that is sharp throughout.

    python examples/multi_focus.py [NEAR FAR] OUT.png

Without NEAR and FAR, the pair in examples/data is fused.
"""

import sys
from pathlib import Path

import gifnet

DATA = Path(__file__).parent / "data"
if len(sys.argv) not in (2, 4):
    sys.exit(__doc__)
*pair, out = sys.argv[1:]
near, far = pair or (DATA / "focus_a.jpg", DATA / "focus_b.jpg")
gifnet.fuse(near, far).save(out)
