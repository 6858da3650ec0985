"""gifnet beside the tools that people would otherwise use, on scenes with known truth and on real exposures.

    python benchmarks/peers.py --photos DIR [--exposures DIR] [--work DIR] [--model MODEL NAME=FILE ...] [--seed 21 22]
                               [--tasks focus breathing exposures brackets planes] [--json FILE]

PHOTOS is a folder of sharp photographs that no model was trained on; EXPOSURES holds folders ``a`` and ``b`` of darker
and brighter images of the same names. It needs ``pip install '.[test]'``, and runs those peers that it finds:

    StackMFF V3, guided filter   OpenFocus: ``pip install openfocus``, in an environment of its own (--openfocus PATH)
    enfuse                       enfuse, and hugin's align_image_stack for stacks that must be aligned
    OpenCV Mertens               ``cv2.createMergeMertens()``
    mean                         of the frames

The tasks:

    focus       stacks of 5 and 2 frames: a lens blurs light by a disc that grows with the distance from the focal plane
    breathing   the same, each frame scaled by 0.4 % beside the one before and shifted by up to 2 pixels: what a method
                makes of them with its own alignment, against the truth brought onto the same grid
    exposures   pairs, at most 640 pixels
    brackets    photographs exposed 2 stops less and more, clipped, and back: are the colours right?
    planes      gifnet alone, on luminance in floating point: a photograph fused with itself, Gaussian blur in turn,
                enhancing after mild blur and noise

What was made is kept in --work, and a second run makes what is missing; images of gifnet are made anew when its weights
or its code have changed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from comparison import planes, scenes, scores
from comparison.cache import Cache
from comparison.methods import CannotError, Gifnet, Method, Task, fused, peers
from comparison.scenes import Array, Scene
from comparison.table import Table
from tqdm import tqdm

from gifnet import InputError

TASKS = ("focus", "breathing", "exposures", "brackets", "planes")
Score = Callable[[Array, Scene], dict[str, float]]


def of_sources(image: Array, scene: Scene) -> dict[str, float]:
    return scores.against_sources(image, [scenes.read(path) for path in scene.frames])


def groups(args: argparse.Namespace) -> Iterator[tuple[str, Task, list[Scene], Score]]:
    """What is fused: a row's name, the kind of task, its scenes, and how their fusions are scored."""
    photos = scenes.every_nth(scenes.images(args.photos), args.count)
    for task, score in (("focus", scores.against_truth), ("breathing", scores.against_moved_truth)):
        for seed in args.seed if task in args.tasks else ():
            made = scenes.focus_scenes(photos, args.work, seed, breathing=task == "breathing")
            for number in sorted(scenes.FOCUS, reverse=True):
                name = f"focus, {number} frames{', aligned' if task == 'breathing' else ''}, seed {seed}"
                yield name, task, of_length(made, number), score
    if "exposures" in args.tasks and args.exposures:
        yield "exposure pairs", "exposures", scenes.exposure_scenes(args.exposures, args.work), of_sources
    if "brackets" in args.tasks:
        made = scenes.bracket_scenes(photos, args.work)
        for number in scenes.BRACKETS:
            yield f"brackets, {number} frames", "exposures", of_length(made, number), scores.colours


def of_length(made: Sequence[Scene], number: int) -> list[Scene]:
    return [scene for scene in made if len(scene.frames) == number]


def compare(
    table: Table, name: str, task: Task, made: Sequence[Scene], score: Score, methods: Sequence[Method], cache: Cache
) -> None:
    """Put one task's means into the table. A method that fails on a scene has no figures, but a note."""

    def scored(method: Method, scene: Scene) -> dict[str, float]:
        path = fused(method, scene.frames, scene.folder, task)
        key = f"{score.__name__} {scene.folder.parent.name}/{scene.folder.name} {method.key}"
        figures: dict[str, float] = cache.get(key, lambda: score(scenes.read(path), scene))
        return figures

    for method in methods:
        if task not in method.tasks:
            continue
        progress = tqdm(made, desc=f"{name}: {method.name}", leave=False, disable=None)
        try:
            found = [scored(method, scene) for scene in progress]
        except (CannotError, ValueError) as error:
            progress.close()
            table.notes.append(f"{method.name}, {name}: {error}")
        else:
            table.put(name, method.name, means(found))


def compare_planes(table: Table, models: Sequence[Gifnet], photos: Path, cache: Cache) -> None:
    """Put the models' figures on luminance planes into the table; those of their inputs stand under "mean"."""
    paths = scenes.images(photos)
    for fuser, name, key in [*((model.fuser, model.name, model.key) for model in models), (None, "mean", "inputs")]:
        found = [
            cache.get(f"planes {index} {scenes.digest([path])} {key}", partial(planes.measured, fuser, path, index))
            for index, path in enumerate(tqdm(paths, desc=f"planes: {name}", leave=False, disable=None))
        ]
        for task in found[0]:
            table.put(task, name, means([figures[task] for figures in found]))


def means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each measure."""
    return {measure: float(np.mean([figures[measure] for figures in found])) for measure in found[0]}


def models(args: argparse.Namespace) -> list[Gifnet]:
    """The models that were named; NAME=FILE gives a column's heading, else it is the file's stem."""
    found = []
    for text in args.model:
        name, _, model = text.rpartition("=")
        found.append(Gifnet(name or Path(model).stem, model, args.device, args.dtype))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of sharp photographs")
    parser.add_argument("--exposures", type=Path, help="folder with a and b: darker and brighter images")
    parser.add_argument("--work", type=Path, default=Path("peers"), help="where scenes and results are kept")
    parser.add_argument("--model", nargs="*", default=["gifnet"], help="of gifnet; NAME=FILE names the column")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--seed", type=int, nargs="+", default=[21], help="of the focus stacks")
    parser.add_argument("--count", type=int, default=6, help="photographs for stacks and brackets (default: 6)")
    parser.add_argument("--openfocus", default="openfocus", help="the command")
    parser.add_argument("--enfuse", default="enfuse", help="the command")
    parser.add_argument("--device", default="auto", help="for gifnet")
    parser.add_argument("--dtype", default="auto", help="for gifnet")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args()


def main() -> None:
    args = arguments()
    ours = models(args)
    theirs, missing = peers(args.openfocus, args.enfuse)
    methods = [*ours, *theirs]
    table = Table([method.name for method in methods], notes=[f"not found: {name}" for name in missing])
    args.work.mkdir(parents=True, exist_ok=True)
    cache = Cache(args.work)
    for name, task, made, score in groups(args):
        compare(table, name, task, made, score, methods, cache)
    if "planes" in args.tasks:
        compare_planes(table, ours, args.photos, cache)
    print(table.markdown())
    if args.json:
        args.json.write_text(json.dumps({"rows": table.as_list(), "notes": table.notes}, indent=1))


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"peers.py: {error}")
