"""The tasks: what to drop in for each, and pairs to try."""

from dataclasses import dataclass
from pathlib import Path

# The network is one for all tasks: a task only says which images it wants, and in what order.
TASKS = {
    "Infrared + visible": "First the infrared image, then the visible one. Raw counts of a thermal camera, or "
    "temperatures: tick “Stretch contrast”. If both don't lie exactly on each other: “Align”.",
    "Near-infrared + visible": "First the near-infrared image, then the visible one.",
    "Several focus distances": "Two or more images of one scene, in any order; or one file whose pages they "
    "are, such as a TIFF. Taken by hand: tick “Align”.",
    "Several exposures": "Two or more exposures of one scene, in any order. Taken by hand: tick “Align”.",
    "Medical": "First PET, SPECT or CT, then MRI, as images on one grid.",
    "One image": "One image: its contrast and detail are enhanced, by the strength below.",
}


@dataclass(frozen=True)
class Example:
    """Files to try a task on."""

    title: str
    task: str  # in TASKS
    files: tuple[Path, ...]


def examples() -> list[Example]:
    """The pairs that come with gifnet, from photographs in the public domain; none where they are missing."""
    package = Path(__file__).resolve().parent
    # As installed from a wheel, and in a checkout (an editable installation).
    candidates = (package / "pictures", package.parents[1] / "examples" / "data")
    folder = next((path for path in candidates if (path / "focus_a.jpg").is_file()), None)
    if folder is None:
        return []
    focus, exposures, portrait = (
        tuple(folder / f"{name}_{which}.jpg" for which in "ab") for name in ("focus", "exposure", "portrait")
    )
    return [
        Example("Two focus distances", "Several focus distances", focus),
        Example("Portrait and background", "Several focus distances", portrait),
        Example("Two exposures", "Several exposures", exposures),
        Example("One image", "One image", focus[:1]),
    ]
