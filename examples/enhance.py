"""One image: contrast and detail, as the network sees them; half of the effect here.

python examples/enhance.py [PHOTO] OUT.png
"""

import sys
from pathlib import Path

import gifnet

DATA = Path(__file__).parent / "data"
if len(sys.argv) not in (2, 3):
    sys.exit(__doc__)
*photo, out = sys.argv[1:]
gifnet.enhance(photo[0] if photo else DATA / "focus_a.jpg", strength=0.5).save(out)
