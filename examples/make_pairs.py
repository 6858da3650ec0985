"""Makes the pairs in ``examples/data`` from photographs in the public domain that ship with scikit-image.

    pip install scikit-image
    python examples/make_pairs.py

* ``focus_a``, ``focus_b``: "coffee" (Rachel Michetti, CC0), focused on the cup, then on the table. Out of focus means a
  disc of confusion, as a lens draws it, not the Gaussian blur that the model was trained with.
* ``exposure_a``, ``exposure_b``: "rocket" (SpaceX, CC0), underexposed and overexposed by 1.6 stops in linear light.
* ``portrait_a``, ``portrait_b``: "astronaut" (NASA, public domain), focused on the person, then on the background.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import convolve, gaussian_filter
from skimage import data, morphology

FOLDER = Path(__file__).parent / "data"
STOPS = 1.6


def linear(photo: np.ndarray) -> np.ndarray:
    """SRGB bytes to linear light in [0, 1]."""
    value = photo / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def encoded(light: np.ndarray) -> np.ndarray:
    """Linear light to sRGB bytes, clipped as a sensor clips."""
    light = np.clip(light, 0, 1)
    value = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(value * 255).astype(np.uint8)


def out_of_focus(light: np.ndarray, radius: int) -> np.ndarray:
    """Convolve linear light with a disc of ``radius`` pixels."""
    disc = morphology.disk(radius).astype(float)
    return np.stack([convolve(light[..., c], disc / disc.sum(), mode="reflect") for c in range(3)], axis=-1)


def ellipse(shape: tuple[int, ...], centre: tuple[float, float], radii: tuple[float, float]) -> np.ndarray:
    """A soft-edged ellipse (H, W, 1) in [0, 1]; centre and radii (y, x) in pixels."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside = ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 < 1
    return gaussian_filter(inside.astype(float), 2)[..., None]


def focus_pair(photo: np.ndarray, subject: np.ndarray, radius: int) -> tuple[np.ndarray, np.ndarray]:
    light = linear(photo)
    blurred = out_of_focus(light, radius)
    return encoded(subject * light + (1 - subject) * blurred), encoded(subject * blurred + (1 - subject) * light)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    coffee, rocket, astronaut = data.coffee(), data.rocket(), data.astronaut()
    light = linear(rocket)
    pairs = {
        "focus": focus_pair(coffee, ellipse(coffee.shape, (200, 290), (150, 190)), radius=5),
        "portrait": focus_pair(astronaut, ellipse(astronaut.shape, (260, 225), (290, 150)), radius=4),
        "exposure": (encoded(light / 2**STOPS), encoded(light * 2**STOPS)),
    }
    for name, images in pairs.items():
        for letter, image in zip("ab", images, strict=True):
            Image.fromarray(image).save(FOLDER / f"{name}_{letter}.jpg", quality=92)


if __name__ == "__main__":
    main()
