"""Infrared + visible: hot bodies from the one, texture and colour from the other.

    python examples/infrared_visible.py INFRARED VISIBLE OUT.png

Both images must be aligned and of one size; see "Data" in weights/README.md for public collections of such pairs.
"""

import sys

import gifnet

if len(sys.argv) != 4:
    sys.exit(__doc__)
infrared, visible, out = sys.argv[1:]
gifnet.fuse(infrared, visible).save(out)
