"""Multi-focus with known truth: pairs made from sharp photographs, and how close each model's fusion comes to them.

    python examples/focus_truth.py PHOTOS [--model MODEL ...] [--count 24]

PHOTOS is a folder of photographs that no model was trained on. From the luminance of each, cropped to at most 384
pixels a side, a random region and its complement are blurred in turn (Gaussian, deviations of 1 to 5 pixels; as
``gifnet.training.validation`` does). The table gives the mean PSNR and SSIM of the fused image against the photograph,
beside the mean of the two inputs; and for ``enhance`` those of the photograph mildly blurred (deviation 0.8), beside
its input.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torchmetrics.functional.image import structural_similarity_index_measure
from tqdm import tqdm

import gifnet
from gifnet.images import colour
from gifnet.images.reading import read
from gifnet.training.data import images_by_stem
from gifnet.training.defocus import gaussian_blur
from gifnet.training.validation import focus_pair

SIDE = 384  # pixels
MILD = 0.8


def luminance(path: Path) -> torch.Tensor:
    """(1, 1, H, W) in [0, 1], the middle of the image."""
    planes, _ = colour.split(read(path, "photo").load().pixels)
    top, left = (max(0, side - SIDE) // 2 for side in planes.shape[-2:])
    return planes[..., top : top + SIDE, left : left + SIDE]


def quality(image: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    psnr = -10 * torch.log10((image - truth).square().mean())
    return float(psnr), float(structural_similarity_index_measure(image, truth, data_range=1.0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", nargs="+", default=["gifnet"])
    parser.add_argument("--count", type=int, default=24)
    args = parser.parse_args()
    fusers = {name: gifnet.load(name) for name in args.model}
    rows: dict[str, list[tuple[float, ...]]] = {name: [] for name in ("input", *fusers)}
    paths = list(images_by_stem(args.photos).values())[: args.count]
    for index, path in enumerate(tqdm(paths)):
        sharp = luminance(path)
        near, far = focus_pair(sharp, index)
        soft = gaussian_blur(sharp, torch.tensor([MILD]))
        rows["input"].append(quality((near + far) / 2, sharp) + quality(soft, sharp))
        for name, fuser in fusers.items():
            rows[name].append(quality(fuser.fuse(near, far), sharp) + quality(fuser.enhance(soft), sharp))
    print(f"{len(paths)} photographs     multi-focus           enhance")
    for name, values in rows.items():
        psnr, ssim, enhance_psnr, enhance_ssim = np.mean(values, axis=0)
        print(f"{name[-20:]:20} {psnr:6.2f} dB {ssim:6.4f}   {enhance_psnr:6.2f} dB {enhance_ssim:6.4f}")


if __name__ == "__main__":
    main()
