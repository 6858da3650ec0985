"""Pan-sharpening under Wald's protocol: how close to the original bands each method comes from degraded ones.

    python benchmarks/pansharpening.py MS_DIR PAN_DIR [--model MODEL ...] [--degrade gaussian | mean] [--full]

The folders hold rasters of the same names (extra [geo]). Both images are degraded by their ratio: by a Gaussian whose
response at the Nyquist frequency is 0.3, which is the one that ``gifnet.pansharpen`` assumes, and the row "detail" too;
or, with ``--degrade mean``, by the mean of blocks, which neither does. The result is compared with the original bands
(ERGAS, SAM), and with its inputs (QNR); with --full, nothing is degraded, and QNR alone is possible.

    bicubic   the bands, resampled
    Brovey    each band times PAN / I, I the bands' mean, PAN given I's mean and deviation (Gillespie et al., 1987)
    detail    PAN's own detail added, with the gain of regression (MTF-GLP-CBD; Aiazzi et al., 2006)
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

import gifnet
from gifnet.metrics import spectral
from gifnet.pansharpening.datasets import open_raster
from gifnet.pansharpening.grids import Grid
from gifnet.pansharpening.method import PairStatistics

EVERYTHING = (slice(None), slice(None))


def bicubic(ms: np.ndarray, pan: np.ndarray) -> np.ndarray:
    """(C, H, W) and (H', W') to (C, H', W')."""
    grid = Grid.of_shapes(ms.shape[1:], pan.shape)
    return np.stack([grid.up(band)[EVERYTHING] for band in ms])


def brovey(ms: np.ndarray, pan: np.ndarray) -> np.ndarray:
    low = Grid.of_shapes(ms.shape[1:], pan.shape).down(pan)[EVERYTHING]
    intensity, up = ms.mean(axis=0), bicubic(ms, pan)
    matched = (pan - low.mean()) / low.std() * intensity.std() + intensity.mean()
    return up * matched / up.mean(axis=0)


def detail(ms: np.ndarray, pan: np.ndarray) -> np.ndarray:
    grid = Grid.of_shapes(ms.shape[1:], pan.shape)
    low = grid.down(pan)[EVERYTHING]
    pairs = [PairStatistics.of(band, low, grid) for band in ms]
    gains = np.array([pair.correlation * pair.band_deviation / pair.pan_deviation for pair in pairs])
    return bicubic(ms, pan) + gains[:, None, None] * (pan - grid.up(low)[EVERYTHING])


def of_model(name: str) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    fuser = gifnet.load(name, dtype="float32")
    return lambda ms, pan: np.moveaxis(gifnet.pansharpen(np.moveaxis(ms, 0, 2), pan, model=fuser), 2, 0)


def degraded(image: np.ndarray, shape: tuple[int, int], how: str) -> np.ndarray:
    """A plane at a coarser shape."""
    if how == "gaussian":
        return Grid.of_shapes(shape, image.shape).down(image)[EVERYTHING]
    ratio = image.shape[0] // shape[0]
    return image.reshape(shape[0], ratio, shape[1], ratio).mean(axis=(1, 3))


def measured(sharp: np.ndarray, ms: np.ndarray, pan: np.ndarray, truth: np.ndarray | None, ratio: int) -> list[float]:
    """ERGAS, SAM (NaN without the truth) and QNR."""
    fused, low, fine = (torch.from_numpy(x)[None] for x in (sharp, ms, pan[None]))
    known = [] if truth is None else [torch.from_numpy(truth)[None]]
    ergas = [spectral.ergas(fused, reference, ratio).item() for reference in known] or [float("nan")]
    sam = [spectral.sam(fused, reference).item() for reference in known] or [float("nan")]
    return [*ergas, *sam, spectral.qnr(fused, low, fine).item()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ms_dir", type=Path)
    parser.add_argument("pan_dir", type=Path)
    parser.add_argument("--model", nargs="+", default=["gifnet"])
    parser.add_argument("--degrade", choices=("gaussian", "mean"), default="gaussian")
    parser.add_argument("--full", action="store_true")
    args = parser.parse_args()
    methods = {"bicubic": bicubic, "Brovey": brovey, "detail": detail} | {name: of_model(name) for name in args.model}
    print(f"{'scene':20} {'method':20}  ERGAS ↓   SAM ↓    QNR ↑")
    for path in sorted(args.ms_dir.iterdir()):
        with open_raster(path) as ms_file, open_raster(args.pan_dir / path.name) as pan_file:
            ms, pan = ms_file.read().astype(float), pan_file.read(1).astype(float)
        truth, ratio = None, pan.shape[0] // ms.shape[1]
        if not args.full:
            truth, sides = ms, ms.shape[1:]
            ms = np.stack([degraded(band, (sides[0] // ratio, sides[1] // ratio), args.degrade) for band in truth])
            pan = degraded(pan, sides, args.degrade)
        for name, method in methods.items():
            ergas, sam, qnr = measured(method(ms, pan), ms, pan, truth, ratio)
            print(f"{path.stem[:20]:20} {name[-20:]:20}  {ergas:7.3f}  {sam:5.3f}°  {qnr:7.4f}", flush=True)


if __name__ == "__main__":
    main()
