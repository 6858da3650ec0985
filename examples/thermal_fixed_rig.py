"""A thermal and a visible camera on one mount: aligned once, then folders of their frames fused by that transform.

    python examples/thermal_fixed_rig.py THERMAL_DIR VISIBLE_DIR OUT_DIR [LOW HIGH]

The transform is estimated on the first pair that it can be trusted on, and kept as OUT_DIR/T.json; delete that file
when the cameras have moved. LOW and HIGH are the thermal values (counts, Kelvin or °C, as the files have them) that
become black and white in every frame, so that a sequence does not flicker; without them, those of the first frame.
Frames are pairs if their names are the same; ``pattern=`` and ``pairs=`` of ``fuse_folders`` pair others.
"""

import sys
from pathlib import Path

import numpy as np

import gifnet
from gifnet.files.listing import images_in
from gifnet.files.reading import read_file


def transform_of(thermal: list[Path], visible: list[Path]) -> gifnet.Alignment:
    """From thermal pixels to visible ones, by the first pair that has edges enough in common."""
    for a, b in zip(thermal, visible, strict=False):
        try:
            # The cameras may see very different parts of the scene: search widely, once.
            found = gifnet.align(a, b, motion="affine", max_shift=0.4, max_scale=1.5)
        except gifnet.AlignmentError as error:
            print(error, file=sys.stderr)
            continue
        print(f"aligned by {a.name}:\n{found.summary()}")
        return found
    raise SystemExit("no pair could be aligned")


def limits_of(path: Path) -> tuple[float, float]:
    """Nearly the lowest and the highest value of a frame."""
    low, high = np.nanpercentile(read_file(path, str(path)).array.astype(float), (0.1, 99.9))
    return float(low), float(high)


def main(arguments: list[str]) -> None:
    if len(arguments) not in (3, 5):
        sys.exit(__doc__)
    thermal, visible, out = map(Path, arguments[:3])
    low, high = map(float, arguments[3:]) if len(arguments) == 5 else limits_of(images_in(thermal)[0])
    out.mkdir(exist_ok=True)
    transform = out / "T.json"
    if not transform.exists():
        transform_of(images_in(thermal), images_in(visible)).save(transform)
    result = gifnet.fuse_folders(
        thermal, visible, out, align=transform, stretch=(low, high, "a"), suffix=".png", report=print
    )
    print(f"{len(result.done)} fused, {len(result.skipped)} as they were, {len(result.failed)} failed")


if __name__ == "__main__":
    main(sys.argv[1:])
