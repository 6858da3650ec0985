"""Makes the pictures of docs/gallery.md: for each task its inputs and what the bundled weights make of them.

    pip install scikit-image scipy
    python examples/make_gallery.py [OUT_DIR]      # docs/gallery by default

The inputs come from ``examples/data`` (``make_pairs.py`` says what from), from photographs in the public domain that
ship with scikit-image, and from ``gallery_scenes.py``. It takes 40 seconds of one core.
"""

import sys
from pathlib import Path

import numpy as np
from focus_stack import depth_stack
from gallery_scenes import fields, head, hills_in_haze, hot_cup
from make_pairs import encoded, linear
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

import gifnet

ROOT = Path(__file__).resolve().parents[1]
WIDTH = 480  # pixels, of each picture
QUALITY = 82  # of WebP
CELSIUS = (18, 70)  # black and white of the thermal image


def save(image: np.ndarray | Image.Image, path: Path) -> None:
    """A picture as the page shows it: WIDTH pixels wide, 8 bits."""
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    height = round(picture.height * WIDTH / picture.width)
    picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS).save(path, quality=QUALITY, method=6)


def to_bytes(values: np.ndarray, black: float, white: float) -> np.ndarray:
    return np.round((values.astype(float) - black) / (white - black) * 255).clip(0, 255).astype(np.uint8)


def thermal() -> dict[str, np.ndarray]:
    celsius, visible = hot_cup()
    fused = gifnet.fuse(celsius, visible, stretch=(*CELSIUS, "a"))
    return {"thermal": to_bytes(celsius, *CELSIUS), "visible": visible, "fused": to_bytes(fused, 0, 1)}


def near_infrared() -> dict[str, np.ndarray]:
    infrared, visible = hills_in_haze()
    return {"infrared": infrared, "visible": visible, "fused": gifnet.fuse(infrared, visible)}


def pair(name: str) -> dict[str, Image.Image]:
    a, b = (Image.open(ROOT / "examples" / "data" / f"{name}_{letter}.jpg") for letter in "ab")
    return {"a": a, "b": b, "fused": gifnet.fuse(a, b)}


def stack() -> dict[str, np.ndarray]:
    """Five frames: the first and the last, the result, and the depth map."""
    frames = depth_stack(data.astronaut()[0:260, 80:380], planes=5)
    fused, depth = gifnet.fuse(*frames, return_depth=True)
    return {"first": frames[0], "last": frames[-1], "fused": fused, "depth": to_bytes(depth, 0, 4)}


def medical() -> dict[str, np.ndarray]:
    pet, mri = head()
    return {"pet": pet, "mri": mri, "fused": gifnet.fuse(pet, mri)}


def pan_sharpening() -> dict[str, np.ndarray]:
    """The middle of the scene: red, green and blue of the bands, coarse and sharpened."""
    ms, pan = fields()
    sharp = gifnet.pansharpen(ms, pan)
    coarse = ms.repeat(4, axis=0).repeat(4, axis=1)
    middle = np.s_[100:300, 120:380]
    bands = {"ms": coarse[..., :3], "fused": sharp[..., :3]}
    shown = {name: encoded(values[middle] / 4500) for name, values in bands.items()}
    return {"ms": shown["ms"], "pan": encoded(pan[middle] / 4500), "fused": shown["fused"]}


def enhanced() -> dict[str, np.ndarray]:
    """A photograph, softened and noisy as small cameras have it."""
    photo = data.chelsea()[0:300, 0:450]
    soft = np.stack([gaussian_filter(plane, 1.0) for plane in np.moveaxis(linear(photo), 2, 0)], axis=-1)
    soft = encoded(soft).astype(float) + 2 * np.random.default_rng(0).standard_normal(photo.shape)
    soft = to_bytes(soft, 0, 255)
    return {"photo": soft, "fused": gifnet.enhance(soft)}


TASKS = {
    "thermal": thermal,
    "near_infrared": near_infrared,
    "focus": lambda: pair("focus"),
    "stack": stack,
    "exposure": lambda: pair("exposure"),
    "medical": medical,
    "pan": pan_sharpening,
    "enhance": enhanced,
}


def main(out: Path) -> None:
    out.mkdir(exist_ok=True)
    for task, make in TASKS.items():
        for name, image in make().items():
            save(image, out / f"{task}_{name}.webp")
    size = sum(path.stat().st_size for path in out.glob("*.webp"))
    print(f"{len(list(out.glob('*.webp')))} pictures, {size / 1000:.0f} kB")


if __name__ == "__main__":
    if len(sys.argv) > 2 or sys.argv[1:2] == ["--help"]:
        sys.exit(__doc__)
    main(Path(sys.argv[1]) if len(sys.argv) == 2 else ROOT / "docs" / "gallery")
