"""PET, SPECT or CT + MRI: function or bone in colour or grey, over soft tissue.

    python examples/medical.py SCAN MRI OUT.png

Both images must be aligned and of one size; see "Data" in weights/README.md for public collections of such pairs.
"""

import sys

import gifnet

if len(sys.argv) != 4:
    sys.exit(__doc__)
scan, mri, out = sys.argv[1:]
gifnet.fuse(scan, mri).save(out)
