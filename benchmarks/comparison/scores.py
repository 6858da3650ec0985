"""How good fused images are: against the truth, by their colours, and against the exposures they were made from.

Each score is a mapping from the measure's name to its value.
"""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import affine_transform
from skimage.color import rgb2lab

from gifnet import metrics

from .scenes import Array, Scene

LUMA = np.array([0.299, 0.587, 0.114])
MARGIN = 8  # pixels that are left out around frames that were moved
SEARCH = 24  # pixels by which a fused image may lie elsewhere than its truth


def decibels(error: Array) -> float:
    """PSNR of this error of values in [0, 1]."""
    square = float(np.mean(error**2))
    return float(-10 * np.log10(square)) if square else float("inf")


def against_truth(fused: Array, scene: Scene) -> dict[str, float]:
    """PSNR of R, G, B and of luma."""
    truth = scene.truth
    if fused.shape != truth.shape:
        raise ValueError(f"the fused image has shape {fused.shape}, its frames {truth.shape}")
    return {"PSNR": decibels(fused - truth), "PSNR luma": decibels((fused - truth) @ LUMA)}


def against_moved_truth(fused: Array, scene: Scene) -> dict[str, float]:
    """As ``against_truth``, of an image that was fused on a grid of its own choice: the truth is brought onto it.

    Which frame a method keeps in place, and what it cuts off, is its own affair.
    """
    truth, known = onto_grid(scene.truth, fused)
    error = (fused - truth)[known]
    return {"PSNR": decibels(error), "PSNR luma": decibels(error @ LUMA)}


def onto_grid(truth: Array, fused: Array) -> tuple[Array, NDArray[np.bool_]]:
    """The truth, resampled once where the fused image's pixels lie in it; and which pixels lie well inside (H, W).

    An affine transform: found to a pixel by correlation, then refined (Evangelidis and Psarakis, TPAMI 2008).
    """
    target, image = ((x @ LUMA * 255).astype(np.float32) for x in (fused, truth))
    middle = target[SEARCH:-SEARCH, SEARCH:-SEARCH]
    _, _, _, (left, top) = cv2.minMaxLoc(cv2.matchTemplate(image, middle, cv2.TM_CCOEFF_NORMED))
    start = np.array([[1, 0, left - SEARCH], [0, 1, top - SEARCH]], dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-7)
    _, warp = cv2.findTransformECC(target, image, start, cv2.MOTION_AFFINE, criteria, None, 1)
    matrix, offset = warp[::-1, 1::-1].astype(float), warp[::-1, 2].astype(float)  # of rows and columns
    height, width = fused.shape[:2]
    planes = [
        affine_transform(plane, matrix, offset, (height, width), order=3, mode="reflect")
        for plane in np.moveaxis(truth, 2, 0)
    ]
    rows, columns = np.tensordot(matrix, np.indices((height, width)), 1) + offset[:, None, None]
    known = np.zeros((height, width), dtype=bool)
    known[MARGIN:-MARGIN, MARGIN:-MARGIN] = True
    known &= (rows >= MARGIN) & (rows < truth.shape[0] - MARGIN)
    known &= (columns >= MARGIN) & (columns < truth.shape[1] - MARGIN)
    return np.stack(planes, axis=2), known


def colours(fused: Array, scene: Scene) -> dict[str, float]:
    """Hue and saturation beside the truth's in CIELAB, whatever tone the method chose.

    The hue's error in degrees, weighted by the truth's chroma; saturation, chroma over lightness, divided by the
    truth's: the median over pixels, and the deviation, which is colour noise. Of pixels that have a colour.
    """
    ours, theirs = rgb2lab(fused), rgb2lab(scene.truth)
    chroma, lightness = np.hypot(theirs[..., 1], theirs[..., 2]), theirs[..., 0]
    seen = (chroma > 5) & (lightness > 10) & (lightness < 95)
    ours, theirs, chroma, lightness = ours[seen], theirs[seen], chroma[seen], lightness[seen]
    angles = [np.arctan2(lab[..., 2], lab[..., 1]) for lab in (ours, theirs)]
    turn = np.abs(np.angle(np.exp(1j * (angles[0] - angles[1]))))
    ratio = np.hypot(ours[..., 1], ours[..., 2]) / np.maximum(ours[..., 0], 1) / (chroma / lightness)
    return {
        "hue error": float(np.degrees((turn * chroma).sum() / chroma.sum())),
        "saturation": float(np.median(ratio)),
        "deviation of saturation": float(np.std(ratio.clip(0, 4))),
    }


def against_sources(fused: Array, sources: list[Array]) -> dict[str, float]:
    """MEF-SSIM and Qabf, on luminance."""
    planes = [torch.tensor(image @ LUMA).clamp(0, 1)[None, None] for image in (fused, *sources)]
    return {"MEF-SSIM": float(metrics.mef_ssim(*planes)), "Qabf": float(metrics.edge_preservation(*planes))}
