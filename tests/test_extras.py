"""Without the optional packages: what needs none of them works, what needs one says so and how to install it."""

import re
from collections.abc import Callable
from importlib.metadata import metadata
from pathlib import Path

import commands
import imagecodecs
import numpy as np
import pytest
import torch
from conftest import Mean, Passing, photo
from PIL import Image

import gifnet
from gifnet import InputError, MissingExtraError, cli
from gifnet.batch.executors import connected
from gifnet.evaluation import evaluate_folders
from gifnet.evaluation.figure import load_figure_class
from gifnet.extras import require

OPTIONAL = (
    "av", "cv2", "dask", "distributed", "gradio", "imagecodecs", "lightning_utilities", "matplotlib", "onnx",
    "onnxruntime", "OpenEXR", "pillow_heif", "pydicom", "rasterio", "rawpy", "tifffile", "torchmetrics", "xarray",
)  # fmt: skip
ALSO = {"pillow_heif": ("pi_heif",)}  # what stands in for a package
STARTS = {  # of files that an extra reads
    "heic": b"\0\0\0\x18ftypheic",
    "raf": b"FUJIFILMCCD-RAW 0201",
    "dcm": bytes(128) + b"DICM",
    "exr": b"v/1\1",
    "hdr": b"#?RADIANCE\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folders a and b of one pair, deep.png of 16-bit colour."""
    for seed, name in enumerate("ab"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(seed=seed)).save(tmp_path / name / "x.png")
    for suffix, start in STARTS.items():
        (tmp_path / f"file.{suffix}").write_bytes(start + bytes(200))
    deep = photo().astype(np.uint16) * 257
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(deep))
    return tmp_path


def read_deep(folder: Path) -> object:
    return gifnet.Fuser(Passing()).enhance(folder / "deep.png")


def write_deep(folder: Path) -> object:
    from gifnet.files import deep_writing
    from gifnet.files.metadata import NO_METADATA

    return deep_writing.write_tiff(photo().astype(np.float32), NO_METADATA, "out.tif")


def read_of(suffix: str) -> Callable[[Path], object]:
    def read_it(folder: Path) -> object:
        return gifnet.Fuser(Passing()).enhance(folder / f"file.{suffix}")

    return read_it


def align(folder: Path) -> object:
    return gifnet.align(folder / "a" / "x.png", folder / "b" / "x.png")


def fuse_aligned(folder: Path) -> object:
    return gifnet.Fuser(Passing()).fuse(photo(), photo(seed=1), align=True)


def pansharpen(folder: Path) -> object:
    return gifnet.pansharpen(folder / "ms.tif", folder / "pan.tif", model=gifnet.Fuser(Passing()))


def measure(folder: Path) -> object:
    return evaluate_folders(folder / "a", folder / "b", models={"mean": Mean()}, progress=False)


def sharpen_labelled(folder: Path) -> object:
    import xarray

    ms, pan = (xarray.DataArray(photo(side, side, 0), dims=("y", "x")) for side in (10, 40))
    return gifnet.pansharpen(ms, pan, model=gifnet.Fuser(Passing()))


def ssim(folder: Path) -> object:
    from gifnet.metrics import ssim

    return ssim(*torch.rand(3, 1, 1, 16, 16))


def plot(folder: Path) -> object:
    return load_figure_class()


def fuse_videos(folder: Path) -> object:
    return gifnet.fuse_video(folder / "a.mp4", folder / "b.mp4", folder / "out.mp4")


def export(folder: Path) -> object:
    return gifnet.export_onnx(folder / "out.onnx")


def connect(folder: Path) -> object:
    with connected("tcp://127.0.0.1:8786") as client:
        return client


def open_page(folder: Path) -> object:
    from gifnet.demo import launch

    launch(no_browser=True)
    return None


def train(folder: Path) -> object:
    from gifnet.training import check_installed

    return check_installed()


WORK: list[tuple[str, str, Callable[[Path], object]]] = [
    ("align", "cv2", align),
    ("align", "cv2", fuse_aligned),
    ("dask", "distributed", connect),
    ("dask", "dask", sharpen_labelled),
    ("demo", "gradio", open_page),
    ("dicom", "pydicom", read_of("dcm")),
    ("exr", "OpenEXR", read_of("exr")),
    ("heif", "pillow_heif", read_of("heic")),
    ("raw", "rawpy", read_of("raf")),
    ("files", "imagecodecs", read_of("hdr")),
    ("files", "imagecodecs", read_deep),
    ("files", "tifffile", read_deep),
    ("files", "imagecodecs", write_deep),
    ("files", "tifffile", write_deep),
    ("geo", "rasterio", pansharpen),
    ("metrics", "torchmetrics", measure),
    ("metrics", "torchmetrics", ssim),
    ("onnx", "onnx", export),
    ("onnx", "onnxruntime", export),
    ("video", "av", fuse_videos),
    ("train", "matplotlib", plot),
    ("train", "matplotlib", train),
    ("train", "torchmetrics", train),
]


@pytest.mark.parametrize(("extra", "package", "work"), WORK, ids=[f"{p}-{w.__name__}" for _, p, w in WORK])
def test_what_needs_an_extra_says_how_to_install_it(
    extra: str, package: str, work: Callable[[Path], object], folder: Path, hide: Callable[[str], None]
) -> None:
    for name in (package, *ALSO.get(package, ())):
        hide(name)
    with pytest.raises(MissingExtraError, match=re.escape(f": pip install 'gifnet[{extra}]'")) as caught:
        work(folder)
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value, ImportError)
    assert " needs " in str(caught.value)


@pytest.mark.parametrize(
    ("package", "extra", "arguments"),
    [
        ("cv2", "align", ["align", "a/x.png", "b/x.png"]),
        ("cv2", "align", ["fuse", "a/x.png", "b/x.png", "-o", "out.png", "--align"]),
        ("distributed", "dask", ["fuse", "a", "b", "-o", "out", "--scheduler", "tcp://127.0.0.1:8786"]),
        ("imagecodecs", "files", ["enhance", "deep.png", "-o", "out.png"]),
        ("pillow_heif", "heif", ["enhance", "file.heic", "-o", "out.png"]),
        ("rasterio", "geo", ["pansharpen", "ms.tif", "pan.tif", "-o", "out.tif"]),
        ("torchmetrics", "metrics", ["eval", "a", "b"]),
        ("onnx", "onnx", ["export", "-o", "out.onnx"]),
        ("onnxruntime", "onnx", ["export", "-o", "out.onnx"]),
        ("av", "video", ["video", "a.mp4", "b.mp4", "-o", "out.mp4"]),
        ("gradio", "demo", ["demo", "--no-browser"]),
        ("matplotlib", "train", ["eval", "a", "b", "--plot", "plot.png"]),
        ("matplotlib", "train", ["train", "a", "b", "-o", "run"]),
        ("torchmetrics", "train", ["train", "a", "b", "-o", "run"]),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_the_command_says_it_in_one_line(
    package: str,
    extra: str,
    arguments: list[str],
    folder: Path,
    hide: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(folder)
    before = set(folder.iterdir())
    for name in (package, *ALSO.get(package, ())):
        hide(name)
    assert cli.main(arguments) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gifnet: ")
    assert line.endswith(f"pip install 'gifnet[{extra}]'")
    assert set(folder.iterdir()) == before


def test_every_extra_is_tried() -> None:
    extras = set(metadata("gifnet").get_all("Provides-Extra") or ())
    assert {extra for extra, _, _ in WORK} == extras - {"docs", "lint", "test"}


def test_a_package_that_does_not_load_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_package.py").write_text("raise ImportError('libGL.so.1 is missing')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MissingExtraError, match=r"it needs broken_package, .*libGL.so.1 is missing.*pip install"):
        require("broken_package", extra="files", purpose="it")


def test_all_modules_are_imported_and_images_are_fused_without_extras(folder: Path) -> None:
    code = f"""
import importlib, pkgutil, sys
sys.modules |= dict.fromkeys({OPTIONAL!r})
import gifnet
for module in pkgutil.walk_packages(gifnet.__path__, "gifnet."):
    if module.name != "gifnet.__main__":
        importlib.import_module(module.name)
gifnet.fuse_files("a/x.png", "b/x.png", "out.png", device="cpu")
gifnet.enhance_folder("a", "out", device="cpu", progress=False)
"""
    done = commands.run_code(code, folder)
    assert done.returncode == 0, done.stderr
    for result in ("out.png", "out/x.png"):
        assert Image.open(folder / result).size == (56, 40)
