"""Near-infrared + visible: haze and foliage from the one, colour from the other.

    python examples/near_infrared.py NEAR_INFRARED VISIBLE OUT.png

Both images must be aligned and of one size; see "Data" in weights/README.md for public collections of such pairs.
"""

import sys

import gifnet

if len(sys.argv) != 4:
    sys.exit(__doc__)
near_infrared, visible, out = sys.argv[1:]
gifnet.fuse(near_infrared, visible).save(out)
