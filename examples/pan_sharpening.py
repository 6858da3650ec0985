"""Pan-sharpening: every band of a multispectral image takes on the detail of the panchromatic one.

    python examples/pan_sharpening.py MS.npy PAN.npy OUT.npy

MS is (H, W, bands) and PAN (k·H, k·W), of one integer dtype, k whole. As in the paper's procedure, each band, resampled
to PAN's grid, is fused with PAN on its own and then given the radiometry of the original band, here by matching its
mean and deviation.
"""

import sys

import numpy as np
from PIL import Image

import gifnet

if len(sys.argv) != 4:
    sys.exit(__doc__)
multispectral, panchromatic = np.load(sys.argv[1]), np.load(sys.argv[2])
top = max(int(multispectral.max()), int(panchromatic.max()))  # 11- and 12-bit sensors leave most of uint16 unused
pan = panchromatic.astype(np.float32) / top
bands = []
for band in np.moveaxis(multispectral.astype(np.float32) / top, 2, 0):
    resampled = np.asarray(Image.fromarray(band).resize(pan.shape[::-1], Image.Resampling.BICUBIC)).clip(0, 1)
    fused = gifnet.fuse(resampled, pan)
    fused = (fused - fused.mean()) / max(float(fused.std()), 1e-6) * band.std() + band.mean()
    bands.append((fused.clip(0, 1) * top).round().astype(multispectral.dtype))
np.save(sys.argv[3], np.stack(bands, axis=2))
