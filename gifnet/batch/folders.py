"""Whole folders of images fused or enhanced."""

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ..checkpoints.hub import BUNDLED
from ..errors import InputError
from ..execution.running import Execution
from ..files.atomic import remove_leftovers
from ..files.formats import WRITABLE, Encoding
from ..files.lock import locked
from ..models import Model, fuser_of
from ..options.declarations import EXECUTOR, FOLDER_PROGRESS, PATTERN, STRENGTH
from ..options.values import (
    Align,
    Colour,
    Compression,
    Device,
    Dtype,
    ExecutorLike,
    Lines,
    Memory,
    Name,
    Progress,
    Quality,
    Resize,
    Stretch,
    Tile,
)
from ..prepare.preparation import Preparation
from .dispatch import run_elsewhere
from .executors import Pool
from .listed import pairs_listed
from .manifest import NAME, Manifest
from .pairing import FolderFailure, Pairing, singles
from .pairing import pairs as pairs_by_name
from .patterns import pairs_by_pattern
from .portable import portable
from .run import Conduct, Job, Run, RunHere
from .task import Task

LOCK = ".gifnet-run.lock"  # in the folder of results, while a run works there


@dataclass(frozen=True)
class FolderResult:
    """What ``fuse_folders`` or ``enhance_folder`` did."""

    done: tuple[Path, ...]  # outputs written
    skipped: tuple[Path, ...]  # outputs that an earlier run had finished, of the same inputs and settings
    failed: tuple[FolderFailure, ...]
    unmatched: tuple[FolderFailure, ...]  # files without a partner; in ``failed`` too, unless they are to be left out


def fuse_folders(
    a_dir: str | os.PathLike[str],
    b_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    recursive: bool = False,
    suffix: str | None = None,
    pattern: Sequence[str] | None = None,
    pairs: Name | None = None,
    overwrite: bool = False,
    skip_unmatched: bool = False,
    report: Lines | None = None,
    executor: ExecutorLike | None = None,
    page: int | None = None,
    resize: Resize = None,
    stretch: Stretch = False,
    colour: Colour = "auto",
    align: Align = False,
    max_shift: float = 0.25,
    max_rotation: float = 6.0,
    max_scale: float = 1.06,
    quality: Quality = None,
    compression: Compression = None,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = True,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> FolderResult:
    """Fuse the images of two folders, pair by pair, into a third; each pair as ``fuse_files`` does.

    Two files are a pair if their paths within their folders are the same but for the suffix; the result has that
    path in ``out_dir`` too; ``pattern`` and ``pairs`` pair other names. A file without a partner, or with several,
    counts as failed; no failure stops the rest.

    ``out_dir`` keeps ``gifnet-manifest.jsonl``, a record of each pair. By it a later call skips what is finished: the
    output has the recorded size, both inputs have the recorded paths, sizes and modification times, and the weights,
    their precision, gifnet's version and all options are the same. An output that is not on record is never replaced
    unless ``overwrite`` says so. Killed at any moment, a call leaves whole outputs only; the next finishes the rest.

    Args:
        a_dir: the first images: the infrared ones of infrared-visible pairs.
        b_dir: the second images.
        out_dir: where the results go; made if its parent exists. Where it lies within an input folder, it isn't read.
        recursive: take in subfolders, and keep them among the results. Hidden ones and links to folders are left out.
        suffix: of the results, which is their format, such as ``.png``. None: that of the (first) image if gifnet
            writes this format, else ``.png``.
        pattern: the file names of pairs, where they are not the same: ``("{name}_T.jpg", "{name}_W.jpg")``. ``{name}``
            is what both share and the result is called, ``*`` any text; capitals don't matter. Both folders may be one.
        pairs: a CSV file that lists the pairs: a file of ``a_dir``, one of ``b_dir`` and, if wished, the result's name.
            A first line ``a,b`` or ``a,b,out`` is a heading.
        overwrite: do everything again, and replace whatever has an output's name.
        skip_unmatched: leave out files without a partner instead of counting them as failed.
        report: called with a line about each problem when it is found; about pairing, before any work.
        executor: where the work is done: a ``concurrent.futures`` executor, or a ``dask.distributed.Client``. Its
            workers need gifnet, and the folders under the same names; ``memory`` is each process's. This process alone
            keeps the record, and an image whose worker dies is done again. None: here.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        resize: bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For
            images that show the same: ratios of sides that differ by more than 2 % are refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        colour: whose colours the result has, of two images: ``"auto"`` is by evidence, ``"a"`` or ``"b"`` takes the
            other one as grey. So does a thermal image in false colours (a palette) give its brightness only.
        align: warp the other images onto the first one's grid first, and crop all to the largest rectangle that all
            show. True (``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``,
            ``"similarity"``, ``"affine"`` or ``"homography"``. Or a transform that is known, of two images of a fixed
            rig: what ``gifnet.align`` gives, a 3×3 matrix from ``a``'s pixels to ``b``'s, or the JSON file that
            ``gifnet align`` writes. Needs the extra ``[align]``; no batches of several.
        max_shift: how far alignment searches, as a part of each side. From 0 to 0.5.
        max_rotation: how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.
        max_scale: how far alignment searches, as a factor either way, once both images have one size. From 1 to 2; not
            with ``"translation"``.
        quality: of JPEG and WebP, from 1 to 100; 95 by default. ``"lossless"`` for WebP.
        compression: of PNG from 0 (none) to 9 (smallest); of TIFF ``"deflate"`` (default), ``"lzw"`` or ``"none"``.
            Pixels stay the same.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True or None: a progress bar on stderr, if that is a terminal; a function of the images done, failed
            ones included, and their number, which may end the work with an exception; False: neither.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Raises:
        InputError: no such folder, no pair in them, ``out_dir`` is one of them or can't be made, another process is
            writing there, its manifest is damaged or can't be written, or a suffix gifnet doesn't write.
        CheckpointError: see ``load``.
    """
    preparation = Preparation.checked(page, resize, stretch, align, colour, max_shift, max_rotation, max_scale)
    task = Task(
        "fuse", preparation, Execution.checked(tile, memory, False), encoding=_encoding(quality, compression, suffix)
    )
    conduct = Conduct(overwrite, skip_unmatched, FOLDER_PROGRESS.check(progress), report)
    first, second, out = Path(a_dir), Path(b_dir), Path(out_dir)
    _check(out, (first, second), suffix)
    pairing = _pairing(first, second, out, recursive, suffix, PATTERN.check(pattern), pairs)
    return _run(task, pairing, out, conduct, EXECUTOR.check(executor), model, device, dtype)


def enhance_folder(
    x_dir: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    *,
    strength: float = 1.0,
    recursive: bool = False,
    suffix: str | None = None,
    overwrite: bool = False,
    report: Lines | None = None,
    executor: ExecutorLike | None = None,
    page: int | None = None,
    stretch: Stretch = False,
    quality: Quality = None,
    compression: Compression = None,
    tile: Tile = "auto",
    memory: Memory = None,
    progress: Progress = True,
    model: Model = BUNDLED,
    device: Device = "auto",
    dtype: Dtype = "auto",
) -> FolderResult:
    """Enhance the images of a folder into another, each as ``enhance_file`` does.

    Args:
        x_dir: the images.
        out_dir: where the results go, with the same record of them; made if its parent exists. Where it lies within
            ``x_dir``, it isn't read.
        strength: from 0 (the image as it is) to 1 (the network's result). Between them, a blend of luminances.
        recursive: take in subfolders, and keep them among the results. Hidden ones and links to folders are left out.
        suffix: of the results, which is their format, such as ``.png``. None: that of the (first) image if gifnet
            writes this format, else ``.png``.
        overwrite: do everything again, and replace whatever has an output's name.
        report: called with a line about each problem when it is found; about pairing, before any work.
        executor: where the work is done: a ``concurrent.futures`` executor, or a ``dask.distributed.Client``. Its
            workers need gifnet, and the folders under the same names; ``memory`` is each process's. This process alone
            keeps the record, and an image whose worker dies is done again. None: here.
        page: of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.
        stretch: map the range between two percentiles to black and white first, each grey input on its own. True (0.1
            and 99.9), two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which
            don't flicker in sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only.
            For 14-bit thermal images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes
            black. Images in colour are left alone.
        quality: of JPEG and WebP, from 1 to 100; 95 by default. ``"lossless"`` for WebP.
        compression: of PNG from 0 (none) to 9 (smallest); of TIFF ``"deflate"`` (default), ``"lzw"`` or ``"none"``.
            Pixels stay the same.
        tile: pixels a side of what is worked on at once, from 64. Rounded down to a multiple of 8. ``None``: the whole
            image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.
        memory: how much may be used, of RAM, the images included, or of a GPU's memory. In bytes or as ``"2GB"``. None:
            70 % of what is free. With less, stage results are computed again instead of kept, which takes up to twice
            as long. The plan is logged (level DEBUG, "gifnet").
        progress: True or None: a progress bar on stderr, if that is a terminal; a function of the images done, failed
            ones included, and their number, which may end the work with an exception; False: neither.
        model: ``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository
            ``org/name`` or ``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``. Or a
            ``Fuser``, which brings its own device and precision.
        device: where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is
            GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.
        dtype: the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``.
            ``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that
            are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype
            does not depend on it.

    Raises:
        InputError: no such folder, no image in it, ``out_dir`` is the same or can't be made, another process is writing
            there, its manifest is damaged or can't be written, a suffix gifnet doesn't write, or an option with
            a wrong value.
        CheckpointError: see ``load``.
    """
    strength, preparation = STRENGTH.check(strength), Preparation.checked(page, stretch=stretch)
    task = Task(
        "enhance",
        preparation,
        Execution.checked(tile, memory, False),
        strength,
        _encoding(quality, compression, suffix),
    )
    conduct = Conduct(overwrite, False, FOLDER_PROGRESS.check(progress), report)
    folder, out = Path(x_dir), Path(out_dir)
    _check(out, (folder,), suffix)
    pairing = singles(folder, out, recursive, suffix)
    return _run(task, pairing, out, conduct, EXECUTOR.check(executor), model, device, dtype)


def _pairing(
    a_dir: Path,
    b_dir: Path,
    out: Path,
    recursive: bool,
    suffix: str | None,
    pattern: tuple[str, str] | None,
    listed: Name | None,
) -> Pairing:
    """The pairs by the way that was chosen. Raises InputError, for two ways too."""
    if listed is not None:
        if pattern is not None or recursive:
            chosen = "recursive" if pattern is None else "pattern"
            raise InputError(f"{chosen}: not with pairs, where {os.fsdecode(listed)} names the files")
        return pairs_listed(a_dir, b_dir, Path(listed), suffix)
    if pattern is not None:
        return pairs_by_pattern(a_dir, b_dir, out, pattern, recursive, suffix)
    return pairs_by_name(a_dir, b_dir, out, recursive, suffix)


def _encoding(quality: Quality, compression: Compression, suffix: str | None) -> Encoding:
    encoding = Encoding.checked(quality, compression)
    if suffix is not None and suffix.lower() in WRITABLE:
        encoding.check(suffix)
    return encoding


def _check(out: Path, inputs: Sequence[Path], suffix: str | None) -> None:
    """Raise InputError for folders and a suffix that can't be worked with."""
    if suffix is not None and suffix.lower() not in WRITABLE:
        raise InputError(f"unknown image suffix {suffix!r}; use {', '.join(WRITABLE)}")
    for folder in inputs:
        if not folder.is_dir():
            raise InputError(f"{folder}: {'is a file; give a folder' if folder.exists() else 'no such folder'}")
        if out.resolve() == folder.resolve():
            raise InputError(f"{out}: is a folder of inputs; give another one for the results")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file; give a folder for the results")
    if not out.parent.is_dir():
        raise InputError(f"{out}: the folder {out.parent} does not exist")


def _run(
    task: Task,
    pairing: Pairing,
    out: Path,
    conduct: Conduct,
    executor: ExecutorLike | None,
    model: Model,
    device: Device,
    dtype: Dtype,
) -> FolderResult:
    """Say what can't be paired, load, look at what is finished, and do the rest."""
    failed = [*pairing.ambiguous, *(() if conduct.skip_unmatched else pairing.unmatched)]
    for failure in failed:
        conduct.tell(f"{failure.name}: {failure.reason}")
    if conduct.skip_unmatched and pairing.unmatched:
        conduct.tell(f"left out, having no partner: {len(pairing.unmatched)}")
    pairing.protect_inputs(out)
    make_run = _run_maker(task, out, conduct, executor, model, device, dtype)
    try:
        out.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: can't be made ({error.strerror})") from error
    with locked(out / LOCK, "writes"), Manifest(out / NAME) as manifest:
        outputs = {*map(Path, manifest.outputs()), *(match.output for match in pairing.matches)}
        for folder in {out, *((out / path).parent for path in outputs)}:
            if folder.is_dir() and folder.resolve().is_relative_to(out.resolve()):  # and not through a link elsewhere
                remove_leftovers(folder)
        with make_run(manifest) as run:
            finished = {match.output for match in pairing.matches if not conduct.overwrite and run.is_finished(match)}
            done, failures = run.work_through([Job(match) for match in pairing.matches if match.output not in finished])
    skipped = tuple(out / match.output for match in pairing.matches if match.output in finished)
    return FolderResult(tuple(done), skipped, (*failed, *failures), pairing.unmatched)


def _run_maker(
    task: Task,
    out: Path,
    conduct: Conduct,
    executor: ExecutorLike | None,
    model: Model,
    device: Device,
    dtype: Dtype,
) -> Callable[[Manifest], AbstractContextManager[Run]]:
    """Look for all that a run needs but its folder, which is made then."""
    if executor is not None:
        return run_elsewhere(task, Pool(executor), portable(model, device, dtype), out, conduct)
    fuser = fuser_of(model, device, dtype)
    return lambda manifest: nullcontext(RunHere(task, fuser, out, manifest, conduct))
