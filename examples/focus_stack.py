"""Focus stacks: photographs focused at several distances become one that is sharp throughout.

    python examples/focus_stack.py IMAGE IMAGE IMAGE ... OUT.png
    python examples/focus_stack.py --truth [--planes 6]

With --truth (needs scikit-image), stacks with a known truth are made from two photographs that ship with scikit-image,
256×256 pixels of each: over a tilted, wavy scene, each image is in focus at one depth and blurred elsewhere by a disc
of confusion that grows to a radius of 10 pixels. The table gives the luminance's PSNR against the sharp photograph, of
the stack's mean, of its best image, of chaining fuse(fuse(a, b), c) ..., and of fuse(a, b, c, ...).
"""

import sys
from functools import reduce

import numpy as np

import gifnet

RADIUS = 10  # pixels, of the disc of confusion between the nearest and the farthest depth


def depth_stack(photo: np.ndarray, planes: int) -> list[np.ndarray]:
    """``planes`` images (H, W, 3) of a scene whose depth rises from the upper left to the lower right, in waves."""
    from make_pairs import encoded, linear, out_of_focus

    height, width = photo.shape[:2]
    y, x = np.mgrid[:height, :width]
    depth = 0.6 * x / width + 0.4 * y / height + 0.08 * np.sin(x / 23) * np.cos(y / 31)
    depth = (depth - depth.min()) / np.ptp(depth)
    light = linear(photo)
    blurred = np.stack([light] + [out_of_focus(light, radius) for radius in range(1, RADIUS + 1)])
    images = []
    for focus in np.linspace(0, 1, planes):
        radius = np.abs(depth - focus) * RADIUS
        below = np.floor(radius).astype(int).clip(0, RADIUS - 1)
        share = (radius - below)[..., None]
        images.append(encoded((1 - share) * blurred[below, y, x] + share * blurred[below + 1, y, x]))
    return images


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """Of the luminances, in dB."""
    weights = np.array([0.299, 0.587, 0.114])
    return float(10 * np.log10(255**2 / np.mean(((image.astype(float) - truth) @ weights) ** 2)))


def main(arguments: list[str]) -> None:
    if arguments[:1] == ["--truth"]:
        from skimage import data

        planes = int(arguments[2]) if arguments[1:2] == ["--planes"] else 6
        crops = {"coffee": data.coffee()[60:316, 130:386], "astronaut": data.astronaut()[0:256, 90:346]}
        print(f"{planes} images   mean      best image  chained   fuse(a, b, c, ...)")
        for name, truth in crops.items():
            stack = depth_stack(truth, planes)
            results = (np.mean(stack, axis=0), max(stack, key=lambda image: psnr(image, truth)),
                       reduce(gifnet.fuse, stack), gifnet.fuse(*stack))  # fmt: skip
            print(f"{name:10}" + "".join(f"{psnr(image, truth):7.2f} dB" for image in results))
    elif len(arguments) >= 3:
        *images, out = arguments
        gifnet.fuse(*images).save(out)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
