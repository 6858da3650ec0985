"""Makes 8-bit pairs, one for each band, of multispectral and panchromatic images, for ``gifnet eval``.

    pip install tifffile
    python examples/pan_pairs.py MS_DIR PAN_DIR OUT

MS_DIR and PAN_DIR hold TIFF files of the same names: H×W×bands and, finer, one plane, of any integer dtype. Band k of
STEM becomes OUT/a/STEM_bandk.png, resampled (bicubic) to the panchromatic grid, and OUT/b/STEM_bandk.png is the
panchromatic image. Each image is scaled from its own 0.1st to 99.9th percentile to 0..255, clipped and rounded.
"""

import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image


def to_bytes(plane: np.ndarray) -> Image.Image:
    low, high = np.percentile(plane, (0.1, 99.9))
    return Image.fromarray(np.round((plane - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8))


def main(ms_dir: Path, pan_dir: Path, out: Path) -> None:
    for letter in "ab":
        (out / letter).mkdir(parents=True, exist_ok=True)
    for ms_path in sorted(ms_dir.glob("*.tif*")):
        pan = tifffile.imread(pan_dir / ms_path.name).astype(np.float32)
        bands = np.moveaxis(tifffile.imread(ms_path).astype(np.float32), 2, 0)
        for number, band in enumerate(bands, 1):  # counted from 1, as remote sensing does
            resampled = Image.fromarray(band).resize(pan.shape[::-1], Image.Resampling.BICUBIC)
            name = f"{ms_path.stem}_band{number}.png"
            to_bytes(np.asarray(resampled)).save(out / "a" / name)
            to_bytes(pan).save(out / "b" / name)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
