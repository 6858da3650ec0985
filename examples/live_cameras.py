"""Two cameras, fused live in a window, with the frame rate drawn in; q or Esc ends it.

    python examples/live_cameras.py 0 1                        # OpenCV's numbers of the infrared and the visible camera
    python examples/live_cameras.py ir.mp4 vis.mp4             # files in their place
    python examples/live_cameras.py 0 1 --align --stretch --model gifnet

Needs OpenCV with windows: pip install opencv-python (the extra [align] brings the one without them). --headless N shows
nothing, fuses N frames and prints the rate.
"""

import argparse
import time
from collections.abc import Iterator

import cv2
import numpy as np

import gifnet

SMOOTHING = 0.9  # of the frame rate that is shown


def frames(source: str) -> Iterator[np.ndarray]:
    """R, G, B frames (H, W, 3) of a camera's number or of a file, until it ends."""
    capture = cv2.VideoCapture(int(source) if source.isdigit() else source)
    if not capture.isOpened():
        raise SystemExit(f"{source}: no camera and no video that OpenCV can open")
    capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # of a camera, the newest frame rather than all that it has taken
    try:
        while True:
            there, image = capture.read()
            if not there:
                return
            yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


def main() -> None:
    """Fuse and show, frame by frame."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("infrared", help="a camera's number, or a file")
    parser.add_argument("visible", help="a camera's number, or a file")
    parser.add_argument("--model", default="gifnet-fast", help="as for gifnet.load")
    parser.add_argument("--align", action="store_true", help="find how the cameras differ from the first frames")
    parser.add_argument("--stretch", action="store_true", help="stretch the contrast of grey cameras")
    parser.add_argument("--resize", choices=["a", "b"], help="bring both to the size of the infrared (a) or visible")
    parser.add_argument("--headless", type=int, metavar="N", help="no window: fuse N frames, and print the rate")
    args = parser.parse_args()

    fused = gifnet.fuse_frames(
        frames(args.infrared),
        frames(args.visible),
        model=args.model,
        align=args.align,
        stretch=args.stretch,
        resize=args.resize,
    )
    next(fused, None)  # the model has been loaded, and the alignment found
    rate, count = 0.0, 0
    begun = before = time.perf_counter()
    for count, frame in enumerate(fused, 1):
        now = time.perf_counter()
        current = 1 / max(now - before, 1e-6)
        rate, before = SMOOTHING * rate + (1 - SMOOTHING) * current if rate else current, now
        if args.headless is not None:
            if count >= args.headless:
                break
            continue
        shown = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
        cv2.putText(shown, f"{rate:.1f} fps", (8, 24), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (255, 255, 255), 2)
        cv2.imshow("gifnet", shown)
        if cv2.waitKey(1) in (ord("q"), 27):
            break
    print(f"{count} frames, {count / max(time.perf_counter() - begun, 1e-6):.1f} a second")


if __name__ == "__main__":
    main()
