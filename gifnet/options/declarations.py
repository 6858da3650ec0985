"""The declarations of all options. The tests hold signatures, docstrings and the command line's flags to them.

A new option is declared here, named in the signatures and docstrings of the functions that take it, in ``keywords``
where these are overloaded, and in the command line's verbs that take it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from . import values
from .values import MOTIONS, SMALLEST_TILE

Checked = TypeVar("Checked")


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Flag:
    """How the command line takes an option. One that is False unless its flag is there needs none of this."""

    of_text: Callable[[str], Any] = str
    metavar: str | None = None
    choices: Sequence[str] | None = None
    nargs: int | None = None  # how many values it has, where that is more than one
    alone: Any = None  # the value of the flag without one; None: it must have one
    note: str = ""  # what its help says after the option's, of the values as they are written here


@dataclass(frozen=True)
class Option(Generic[Checked]):
    """One option of functions and of the command line."""

    name: str
    type: Any  # its annotation in signatures
    default: Any
    help: str  # its entry in docstrings; the command line shows the first sentence
    check: Callable[[Any], Checked] = _unchanged  # the value in one form; raises InputError
    flag: Flag = field(default_factory=Flag)

    @property
    def summary(self) -> str:
        """The first sentence of the help, as plain text."""
        return self.help.split(". ")[0].removesuffix(".").replace("``", "")


# --- reading ------------------------------------------------------------------------------------------

PAGE = Option(
    "page",
    int | None,
    None,
    "of files that hold several images, the one to take; 0 is the first. Without it, such a file is refused.",
    values.check_page,
    Flag(int, "N"),
)

# --- what is done to the images first -----------------------------------------------------------------

STRETCH = Option(
    "stretch",
    values.Stretch,
    False,
    "map the range between two percentiles to black and white first, each grey input on its own. True (0.1 and 99.9), "
    'two percentiles such as ``(1, 99)``, or two values such as ``(7000, 9000, "values")``, which don\'t flicker in '
    'sequences; with ``"a"`` or ``"b"`` in place of ``"values"``, of this image of a pair only. For 14-bit thermal '
    "images in 16-bit files, and for any numbers: Kelvin, °C, Hounsfield units. NaN becomes black. Images in colour "
    "are left alone.",
    values.check_stretch,
    Flag(values.stretch_of_text, "LOW,HIGH", note="such as 1,99, or 7000,9000,values"),
)
RESIZE = Option(
    "resize",
    values.Resize,
    None,
    'bring the other image to the size of this one first. ``"a"`` or ``"b"``; bicubic, antialiased. For images '
    "that show the same: ratios of sides that differ by more than 2 % are refused.",
    values.check_resize,
    Flag(choices=("a", "b")),
)
ALIGN = Option(
    "align",
    values.Align,
    False,
    "warp the other images onto the first one's grid first, and crop all to the largest rectangle that all show. True "
    '(``"affine"`` for two images, ``"similarity"`` for a stack), or a motion: ``"translation"``, ``"similarity"``, '
    '``"affine"`` or ``"homography"``. Or a transform that is known, of two images of a fixed rig: what '
    "``gifnet.align`` gives, a 3×3 matrix from ``a``'s pixels to ``b``'s, or the JSON file that ``gifnet align`` "
    "writes. Needs the extra ``[align]``; no batches of several.",
    values.check_align,
    Flag(
        values.align_of_text,
        "MOTION",
        alone=True,
        note=f"--align alone, --align=MOTION: {', '.join(MOTIONS)}; or --align=T.json, as gifnet align writes it",
    ),
)
COLOUR: Option[Any] = Option(
    "colour",
    values.Colour,
    "auto",
    'whose colours the result has, of two images: ``"auto"`` is by evidence, ``"a"`` or ``"b"`` takes the other one as '
    "grey. So does a thermal image in false colours (a palette) give its brightness only.",
    values.check_colour,
    Flag(choices=("auto", "a", "b"), note="auto by default"),
)

# --- how it is computed -------------------------------------------------------------------------------

TILE = Option(
    "tile",
    values.Tile,
    "auto",
    f"pixels a side of what is worked on at once, from {SMALLEST_TILE}. Rounded down to a multiple of 8. ``None``: the "
    'whole image, whatever memory that takes; ``"auto"``: what the memory allows. The pixels are the same with any.',
    values.check_tile,
    Flag(values.tile_of_text, "N", note="or auto (default), or none: in one piece"),
)
MEMORY = Option(
    "memory",
    values.Memory,
    None,
    'how much may be used, of RAM, the images included, or of a GPU\'s memory. In bytes or as ``"2GB"``. None: 70 % '
    "of what is free. With less, stage results are computed again instead of kept, which takes up to twice as long. "
    'The plan is logged (level DEBUG, "gifnet").',
    values.check_memory,
    Flag(values.memory_of_text, "SIZE", note="2GB, 500MB, ...; by default 70 % of what is free"),
)
PROGRESS = Option(
    "progress",
    values.Progress,
    None,
    "True: a progress bar on stderr; a function of the steps done and their number, which may end the work with an "
    "exception; False: neither; None: a bar on a terminal, after two seconds.",
    values.check_progress,
)
PAN_PROGRESS = replace(PROGRESS, help=PROGRESS.help + " It begins anew with every band.")
FOLDER_PROGRESS = replace(
    PROGRESS,
    default=True,
    help="True or None: a progress bar on stderr, if that is a terminal; a function of the images done, failed ones "
    "included, and their number, which may end the work with an exception; False: neither.",
)
EVALUATION_PROGRESS = replace(
    PROGRESS,
    default=True,
    help="True or None: a progress bar on stderr; a function of the pairs done and their number, which may end the "
    "work with an exception; False: neither.",
)
OUT: Option[Any] = Option(
    "out",
    Any,
    None,
    "an array of the result's shape and dtype to write it into, such as a ``numpy.memmap``; it is returned. With "
    "``numpy.memmap`` or other sliceable arrays (h5py, zarr) as inputs, images may be larger than memory: they are "
    "read and written by regions.",
)
STRENGTH = Option(
    "strength",
    float,
    1.0,
    "from 0 (the image as it is) to 1 (the network's result). Between them, a blend of luminances.",
    values.check_strength,
    Flag(float, note="1 by default"),
)

RETURN_DEPTH: Option[Any] = Option(
    "return_depth",
    bool,
    False,
    "give the depth map of a focus stack too: a pair of the fused image and an array (H, W), float32. It says which "
    "image each pixel is sharpest in, 0 for the first, with fractions between neighbours; smooth where nothing is.",
)
DEPTH: Option[Any] = Option(
    "depth",
    values.Name | None,
    None,
    "a file for the depth map of a focus stack: PNG or TIFF of 16 bits. It says which image each pixel is sharpest in, "
    "0 for the first, 65535 for the last; smooth where nothing is.",
    flag=Flag(metavar="FILE"),
)
QUALITY = Option(
    "quality",
    values.Quality,
    None,
    'of JPEG and WebP, from 1 to 100; 95 by default. ``"lossless"`` for WebP.',
    values.check_quality,
    Flag(values.number_or_text, "N"),
)
COMPRESSION = Option(
    "compression",
    values.Compression,
    None,
    'of PNG from 0 (none) to 9 (smallest); of TIFF ``"deflate"`` (default), ``"lzw"`` or ``"none"``. Pixels stay the '
    "same.",
    values.check_compression,
    Flag(values.number_or_text, "C"),
)

# --- the model ----------------------------------------------------------------------------------------

NAME_OR_PATH: Option[Any] = Option(
    "name_or_path",
    values.Name,
    "gifnet",
    '``"gifnet"`` (the bundled weights), a ``.safetensors`` file, or a Hugging Face Hub repository ``org/name`` or '
    "``org/name@revision``. The repository holds ``model.safetensors`` and ``config.json``.",
    flag=Flag(note="gifnet by default"),
)
# Its type is ``gifnet.models.Model``, which is declared above here.
MODEL = replace(
    NAME_OR_PATH,
    name="model",
    type=Any,
    help=NAME_OR_PATH.help + " Or a ``Fuser``, which brings its own device and precision.",
)
SHA256: Option[Any] = Option(
    "sha256", str | None, None, "if given, the weights' file must have this SHA-256 (hexadecimal)."
)
DEVICE: Option[Any] = Option(
    "device",
    values.Device,
    "auto",
    'where to compute: ``"auto"``, ``"cpu"``, ``"mps"``, ``"cuda"``, ``"cuda:0"`` and so on. ``"auto"`` is '
    "GIFNET_DEVICE if that is set, else CUDA, MPS, CPU.",
    flag=Flag(note="auto by default"),
)
DTYPE: Option[Any] = Option(
    "dtype",
    values.Dtype,
    "auto",
    'the precision to compute in: ``"auto"``, ``"fastest"``, ``"float32"``, ``"float16"`` or ``"bfloat16"``. '
    '``"auto"`` is float16 on CUDA, float32 elsewhere; ``"fastest"`` is the same, but bfloat16 on processors that '
    "are timed to be quicker with it, which differs by up to 0.3 levels of 255 in the mean. The result's dtype does "
    "not depend on it.",
    flag=Flag(note="auto by default"),
)
PAN_DTYPE = replace(
    DTYPE,
    default="float32",
    help='the precision to compute in: ``"float32"``, ``"float16"`` or ``"bfloat16"``. At the low contrast of this '
    "work, the shorter ones lose detail.",
    flag=Flag(note="float32 by default"),
)

# --- folders ------------------------------------------------------------------------------------------

RECURSIVE: Option[Any] = Option(
    "recursive",
    bool,
    False,
    "take in subfolders, and keep them among the results. Hidden ones and links to folders are left out.",
)
SUFFIX: Option[Any] = Option(
    "suffix",
    str | None,
    None,
    "of the results, which is their format, such as ``.png``. None: that of the (first) image if gifnet writes this "
    "format, else ``.png``.",
    flag=Flag(metavar=".EXT", note="by default the input's, else .png"),
)
PATTERN = Option(
    "pattern",
    Sequence[str] | None,
    None,
    'the file names of pairs, where they are not the same: ``("{name}_T.jpg", "{name}_W.jpg")``. ``{name}`` is '
    "what both share and the result is called, ``*`` any text; capitals don't matter. Both folders may be one.",
    values.check_pattern,
    Flag(metavar="NAME", nargs=2, note="such as {name}_T.jpg {name}_W.jpg"),
)
PAIRS: Option[Any] = Option(
    "pairs",
    values.Name | None,
    None,
    "a CSV file that lists the pairs: a file of ``a_dir``, one of ``b_dir`` and, if wished, the result's name. A first "
    "line ``a,b`` or ``a,b,out`` is a heading.",
    flag=Flag(metavar="CSV"),
)
OVERWRITE: Option[Any] = Option(
    "overwrite", bool, False, "do everything again, and replace whatever has an output's name."
)
SKIP_UNMATCHED: Option[Any] = Option(
    "skip_unmatched", bool, False, "leave out files without a partner instead of counting them as failed."
)
REPORT: Option[Any] = Option(
    "report",
    values.Lines | None,
    None,
    "called with a line about each problem when it is found; about pairing, before any work.",
)
EXECUTOR = Option(
    "executor",
    values.ExecutorLike | None,
    None,
    "where the work is done: a ``concurrent.futures`` executor, or a ``dask.distributed.Client``. Its workers need "
    "gifnet, and the folders under the same names; ``memory`` is each process's. This process alone keeps the record, "
    "and an image whose worker dies is done again. None: here.",
    values.check_executor,
)

# --- aligning -----------------------------------------------------------------------------------------

MOTION = Option(
    "motion",
    values.Motion,
    "affine",
    'what may lie between the images: ``"translation"``, ``"similarity"`` (and rotation, scale), ``"affine"`` or '
    '``"homography"``.',
    values.check_motion,
    Flag(choices=MOTIONS, note="affine by default"),
)
MAX_SHIFT = Option(
    "max_shift",
    float,
    0.25,
    "how far alignment searches, as a part of each side. From 0 to 0.5.",
    values.number_between("max_shift", 0, 0.5, "0 to 0.5 (half of each side)"),
    Flag(float, "PART", note="0.25 by default"),
)
MAX_ROTATION = Option(
    "max_rotation",
    float,
    6.0,
    'how far alignment searches, in degrees either way. From 0 to 45; not with ``"translation"``.',
    values.number_between("max_rotation", 0, 45, "0 to 45 degrees"),
    Flag(float, "DEGREES", note="6 by default"),
)
MAX_SCALE = Option(
    "max_scale",
    float,
    1.06,
    "how far alignment searches, as a factor either way, once both images have one size. From 1 to 2; not with "
    '``"translation"``.',
    values.number_between("max_scale", 1, 2, "1 to 2"),
    Flag(float, "FACTOR", note="1.06 by default"),
)
MIN_CONFIDENCE = Option(
    "min_confidence",
    float,
    0.2,
    "refuse what is below it, from 0 to 1.",
    values.number_between("min_confidence", 0, 1, "0 to 1"),
    Flag(float, note="0.2 by default"),
)

# --- rasters ------------------------------------------------------------------------------------------

NODATA = Option(
    "nodata",
    float | None,
    None,
    "the value of pixels without data in ``out``, and in rasters that don't say which have none. None: the "
    "multispectral nodata value, else PAN's if the dtype can hold it, else NaN in floating point. A pixel is nodata "
    "where PAN is, or where the multispectral pixel that it lies in is, or where there is none. No valid pixel gets "
    "this value.",
    values.check_nodata,
    Flag(float, note="by default that of MS, else PAN"),
)

# --- videos -------------------------------------------------------------------------------------------

OFFSET = Option(
    "offset",
    float,
    0.0,
    "seconds that are added to the times of ``b``. For cameras that were not started together; negative where ``b`` "
    "was started first.",
    values.check_offset,
    Flag(float, "SECONDS", note="0 by default"),
)
CODEC: Option[Any] = Option(
    "codec",
    str | None,
    None,
    'an encoder of FFmpeg\'s, such as ``"libx264"`` or ``"ffv1"``. None: by the suffix and the depth; H.264, H.265 for '
    "more than 8 bits in .mp4 and .mov, FFV1 for them in .mkv, VP9 in .webm, MJPEG in .avi.",
    flag=Flag(metavar="NAME", note="by default by the suffix"),
)
MUTE: Option[Any] = Option("mute", bool, False, "leave the sound out.")
VIDEO_STRETCH = replace(
    STRETCH,
    help="map the range between two percentiles to black and white first, each grey input on its own. True (0.1 and "
    "99.9), or two percentiles such as ``(1, 99)``, whose limits follow slowly from frame to frame, so that nothing "
    'flickers; or two values such as ``(7000, 9000, "values")``, which stay. Videos in colour are left alone.',
)
VIDEO_ALIGN = replace(
    ALIGN,
    help="warp ``b`` onto ``a``'s grid first, and crop both to the largest rectangle that both show. True "
    '(``"affine"``), or a motion: ``"translation"``, ``"similarity"``, ``"affine"`` or ``"homography"``. Found once, '
    "from five frames, for a rig is fixed. Needs the extra ``[align]``.",
)
VIDEO_PROGRESS = replace(
    PROGRESS,
    help="True: a progress bar on stderr; a function of the frames done and their number, as far as it is known, which "
    "may end the work with an exception; False: neither; None: a bar on a terminal, after two seconds.",
)

# --- export -------------------------------------------------------------------------------------------

OPSET = Option(
    "opset",
    int,
    values.OLDEST_OPSET,
    f"the version of ONNX's operators, from {values.OLDEST_OPSET}. Older runtimes know no newer ones.",
    values.check_opset,
    Flag(int, "N", note=f"{values.OLDEST_OPSET} by default"),
)
EXPORT_DTYPE = Option(
    "dtype",
    values.Dtype,
    "float32",
    'the precision of the weights and features in the file: ``"float32"`` or ``"float16"``, half the size. '
    "Inputs, outputs and statistics are float32 with both.",
    values.check_export_dtype,
    Flag(choices=("float32", "float16"), note="float32 by default"),
)
ENHANCE: Option[Any] = Option(
    "enhance",
    bool,
    False,
    "the graph that enhances one image, ``x`` to ``enhanced``. Without it, that which fuses two.",
)

# --- evaluation ---------------------------------------------------------------------------------------

METRICS: Option[Any] = Option(
    "metrics",
    Iterable[str] | None,
    None,
    "names in ``gifnet.metrics.METRICS``. None: all that take a fused image and two sources, on each pair those that "
    "its size allows.",
    flag=Flag(metavar="NAME"),
)
SAVE_FUSED: Option[Any] = Option(
    "save_fused",
    values.Name | None,
    None,
    "a folder for what the models make, as ``LABEL[/SET]/STEM.png``. Made if need be. In a label, characters that file "
    "names had better not have become ``_``.",
    flag=Flag(metavar="DIR"),
)

# --- the page to try it on ------------------------------------------------------------------------------

HOST: Option[Any] = Option(
    "host",
    str,
    "127.0.0.1",
    'the address of this machine that the page is reached at. ``"127.0.0.1"`` is for programs of this machine only, '
    '``"0.0.0.0"`` for everybody who reaches the machine.',
    flag=Flag(metavar="ADDRESS", note="127.0.0.1 by default, for this machine only"),
)
PORT = Option(
    "port",
    int | None,
    None,
    "its port. None: the first free one from 7860.",
    values.check_port,
    Flag(int, "N", note="by default the first free one from 7860"),
)
SHARE: Option[Any] = Option(
    "share",
    bool,
    False,
    "a public link too, which passes all data through Gradio's servers. Best effort, for a week at most.",
)
NO_BROWSER: Option[Any] = Option("no_browser", bool, False, "open no browser, only say where the page is.")

# --- the command line only ----------------------------------------------------------------------------

MAX_PIXELS: Option[Any] = Option(
    "max_pixels",
    int | None,
    None,
    "read images of up to so many pixels, from files that you trust. In Python, raise ``PIL.Image.MAX_IMAGE_PIXELS``.",
    flag=Flag(values.pixels_of_text, "N", note="such as 500M; 178956970 by default"),
)
SCHEDULER: Option[Any] = Option(
    "scheduler",
    str | None,
    None,
    "have the workers of a Dask cluster do it, whose scheduler has this address. Needs the extra ``[dask]``.",
    flag=Flag(metavar="ADDRESS", note="such as tcp://10.0.0.1:8786"),
)
