"""TITA's operations: how much each of OAF's six weighs, task by task, as a picture.

    python examples/tita_operations.py WEIGHTS.safetensors OUT.png TASK A_DIR B_DIR [TASK A_DIR B_DIR ...]

TASK is a name for a bar; A_DIR and B_DIR hold its pairs, by file stem, of infrared-visible pairs the infrared in A_DIR.
A bar's height is the mean weight over the pairs, its whisker the deviation. Luminance is used, of at most 256 pixels a
side from the middle. Needs matplotlib: pip install 'gifnet[train]'.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from gifnet.checkpoints.format import load_weights
from gifnet.networks.tita import TITA
from gifnet.networks.tita.oaf import OPERATIONS

SIDE = 256  # pixels


def plane(path: Path) -> torch.Tensor:
    """The middle of an image's luminance, (1, 1, H, W) in [0, 1]."""
    pixels = np.asarray(Image.open(path).convert("L"), dtype=np.float32) / 255
    top, left = (max(0, side - SIDE) // 2 for side in pixels.shape)
    return torch.from_numpy(pixels[top : top + SIDE, left : left + SIDE].copy())[None, None]


def weights_of(model: TITA, first: Path, second: Path) -> np.ndarray:
    """The six weights of every pair of two folders, (pairs, 6)."""
    seconds = {path.stem: path for path in sorted(second.iterdir())}
    pairs = [(path, seconds[path.stem]) for path in sorted(first.iterdir()) if path.stem in seconds]
    if not pairs:
        sys.exit(f"{first} and {second} have no file stem in common")
    with torch.inference_mode():
        # The network takes the visible image first.
        return np.stack([model.operation_weights(plane(b), plane(a))[0].numpy() for a, b in pairs])


def main() -> None:
    if len(sys.argv) < 6 or len(sys.argv) % 3:
        sys.exit(__doc__)
    weights, out, *rest = sys.argv[1:]
    model = load_weights(weights)
    if not isinstance(model, TITA):
        sys.exit(f"{weights}: weights of another network than TITA")
    tasks = [(rest[i], Path(rest[i + 1]), Path(rest[i + 2])) for i in range(0, len(rest), 3)]
    figure = Figure(figsize=(9, 4), layout="constrained")
    panel = figure.subplots()
    width = 0.8 / len(tasks)
    for index, (task, first, second) in enumerate(tasks):
        found = weights_of(model, first, second)
        print(task, *(f"{weight:.3f}" for weight in found.mean(axis=0)))
        places = np.arange(found.shape[1]) + (index - (len(tasks) - 1) / 2) * width
        panel.bar(places, found.mean(axis=0), width, yerr=found.std(axis=0), label=f"{task}, {len(found)} pairs")
    names = [f"{name}\nof {stream}" for stream in ("b", "a") for name in OPERATIONS]
    panel.set_xticks(range(len(names)), names)
    panel.set(ylabel="weight")
    panel.legend()
    figure.savefig(out, dpi=120)


if __name__ == "__main__":
    main()
