"""What the page does with files is what ``fuse_files`` and ``enhance_file`` do, and what it shows is what was fused."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from conftest import ROOT, Passing, photo
from PIL import Image, ImageCms

import gifnet
from gifnet import InputError
from gifnet.demo import previews
from gifnet.demo.page import in_words, models_to_choose
from gifnet.demo.tasks import TASKS, examples
from gifnet.demo.work import Result, Setup, Wish, work
from gifnet.execution.running import Execution
from gifnet.networks.gifnet import GIFNet


@pytest.fixture
def fuser(small_network: GIFNet) -> gifnet.Fuser:
    return gifnet.Fuser(small_network)


def ignored(done: int, steps: int) -> None:
    """Progress that nobody looks at."""


def done(place: Path, fuser: gifnet.Fuser, *files: Path, **chosen: object) -> Result:
    folder = place / "page"
    folder.mkdir(exist_ok=True)
    wish = Wish(tuple(map(str, files)), fuser, **chosen)  # type: ignore[arg-type]
    return work(wish, folder, Setup(fuser), ignored)


def written(folder: Path, kind: str) -> list[Path]:
    """Two files of a kind."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    paths = []
    for seed, name in enumerate("ab"):
        image = photo(seed=seed)
        if kind == "jpg":
            exif = Image.Exif()
            exif[270] = "a scene"
            path = folder / f"{name}.jpg"
            Image.fromarray(image).save(path, icc_profile=profile, exif=exif)
        elif kind == "png16":
            path = folder / f"{name}.png"
            Image.fromarray(image[..., 0].astype(np.uint16) * 257).save(path)
        else:
            path = folder / f"{name}.tif"
            deep = image.astype(np.uint16) * 257 if kind == "tif16" else (image / 255).astype(np.float32)
            tifffile.imwrite(path, deep, photometric="rgb")
        paths.append(path)
    return paths


@pytest.mark.parametrize(
    ("kind", "suffix", "dtype"),
    [("jpg", ".png", "uint8"), ("png16", ".png", "uint16"), ("tif16", ".tif", "uint16"), ("float", ".tif", "float32")],
)
def test_the_file_is_that_of_fuse_files(
    tmp_path: Path, fuser: gifnet.Fuser, kind: str, suffix: str, dtype: str
) -> None:
    a, b = written(tmp_path, kind)
    result = done(tmp_path, fuser, a, b)
    assert result.file.name == f"a_fused{suffix}"
    expected = gifnet.fuse_files(a, b, tmp_path / f"expected{suffix}", model=fuser)
    assert result.file.read_bytes() == expected.read_bytes()  # pixels, depth, EXIF and profile
    pixels = tifffile.imread(result.file) if suffix == ".tif" else np.asarray(Image.open(result.file))
    assert pixels.dtype == dtype
    if kind == "jpg":
        with Image.open(result.file) as opened:
            assert opened.info["icc_profile"]
            assert opened.getexif()[270] == "a scene"


@pytest.mark.parametrize("as_pages", [False, True])
def test_a_stack_of_files_or_pages(tmp_path: Path, fuser: gifnet.Fuser, as_pages: bool) -> None:
    images = [photo(seed=seed) for seed in range(3)]
    if as_pages:
        files = [tmp_path / "stack.tif"]
        tifffile.imwrite(files[0], np.stack(images), photometric="rgb")
    else:
        files = [tmp_path / f"{number}.png" for number in range(3)]
        for path, image in zip(files, images, strict=True):
            Image.fromarray(image).save(path)
    result = done(tmp_path, fuser, *files)
    expected = tmp_path / f"expected{result.file.suffix}"
    gifnet.fuse_files(files[0] if as_pages else files, None, expected, model=fuser)
    assert result.file.read_bytes() == expected.read_bytes()
    assert len(result.before) == 3
    for (_, path), image in zip(result.before, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), image)
    assert result.summary.startswith("Fused 3 images of 56 × 40 pixels in ")


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_one_image_is_enhanced(tmp_path: Path, fuser: gifnet.Fuser, strength: float) -> None:
    a, _ = written(tmp_path, "tif16")
    result = done(tmp_path, fuser, a, strength=strength, align=True)  # which is for several
    assert result.file.name == "a_enhanced.tif"
    expected = gifnet.enhance_file(a, tmp_path / "expected.tif", strength, model=fuser)
    assert result.file.read_bytes() == expected.read_bytes()
    assert [name for name, _ in result.before] == ["1: a.tif"]


@pytest.mark.parametrize("count", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_aligned_images_are_shown_as_they_are_fused(tmp_path: Path, fuser: gifnet.Fuser, count: int) -> None:
    """Cropped to what all show, so that both sides of the slider lie on each other."""
    coarse = np.random.default_rng(1).random((30, 40)).astype(np.float32)
    scene = (cv2.resize(coarse, (200, 160), interpolation=cv2.INTER_CUBIC).clip(0, 1) * 255).astype(np.uint8)
    files = [tmp_path / f"{number}.png" for number in range(count)]
    for shift, path in enumerate(files):
        Image.fromarray(scene[2 * shift : 2 * shift + 120, 5 * shift : 5 * shift + 160]).save(path)
    result = done(tmp_path, fuser, *files, align=True)
    gifnet.fuse_files(files, None, tmp_path / "expected.png", align=True, model=fuser)
    assert result.file.read_bytes() == (tmp_path / "expected.png").read_bytes()
    shown = [np.asarray(Image.open(path)).astype(int) for path in (result.after, *(path for _, path in result.before))]
    assert {image.shape for image in shown} == {Image.open(result.file).size[::-1]}
    assert shown[0].shape != (120, 160)
    assert np.abs(shown[1] - shown[2]).mean() < 3  # levels of resampling; unaligned ones differ by 20
    assert "cropped to columns" in result.notes


def test_what_was_stretched_is_shown_stretched(tmp_path: Path, fuser: gifnet.Fuser) -> None:
    for number, name in enumerate("ab"):
        counts = 7000 + photo(channels=0, seed=number).astype(np.uint16)
        Image.fromarray(counts).save(tmp_path / f"{name}.png")
    result = done(tmp_path, fuser, tmp_path / "a.png", tmp_path / "b.png", stretch=True)
    assert np.ptp(np.asarray(Image.open(result.before[0][1]))) == 255
    assert "7000" in result.notes


def test_previews_fit_a_screen(tmp_path: Path) -> None:
    Image.new("RGB", (5000, 100)).save(tmp_path / "wide.png")
    result = done(tmp_path, gifnet.Fuser(Passing()), tmp_path / "wide.png", tmp_path / "wide.png")
    assert Image.open(result.after).size == Image.open(result.before[0][1]).size == (2048, 41)
    assert Image.open(result.file).size == (5000, 100)


def test_thumbnails_say_what_a_file_is(tmp_path: Path) -> None:
    kelvin = np.linspace(280, 310, 60 * 80, dtype=np.float32).reshape(60, 80)
    tifffile.imwrite(tmp_path / "kelvin.tif", kelvin)
    tifffile.imwrite(tmp_path / "stack.tif", np.zeros((3, 30, 40, 3), np.uint16), photometric="rgb")
    image, words = previews.thumbnail(tmp_path / "kelvin.tif", Execution())
    assert words == "80 × 60, floating point"
    assert np.ptp(np.asarray(image)) == 255
    assert previews.thumbnail(tmp_path / "stack.tif", Execution())[1] == "40 × 30, 16 bits, 3 pages"


def test_refusals_are_in_words(tmp_path: Path, fuser: gifnet.Fuser) -> None:
    hidden = tmp_path / "private"
    hidden.mkdir()
    broken = hidden / "broken.png"
    broken.write_bytes(b"no image")
    with pytest.raises(InputError) as caught:
        done(tmp_path, fuser, broken, broken)
    assert in_words(caught.value, [str(broken)]) == "broken.png: not an image in a format that gifnet reads"
    with pytest.raises(InputError, match="drop one"):
        done(tmp_path, fuser)
    a, b = written(tmp_path, "jpg")
    with pytest.raises(InputError, match="memory"):
        work(Wish((str(a), str(b)), fuser), tmp_path, Setup(fuser, memory=10_000), ignored)
    with pytest.raises(InputError, match="memory"):
        previews.thumbnail(a, Execution(memory=1000))


def test_a_closed_page_ends_the_work(tmp_path: Path, fuser: gifnet.Fuser) -> None:
    def stop(done: int, steps: int) -> None:
        raise InputError("closed")

    a, b = written(tmp_path, "jpg")
    with pytest.raises(InputError, match="closed"):
        work(Wish((str(a), str(b)), fuser), tmp_path, Setup(fuser), stop)


def test_models_are_the_chosen_one_and_those_with_weights(fuser: gifnet.Fuser) -> None:
    known = models_to_choose("gifnet")
    assert next(iter(known)) == "gifnet"
    assert "stand-in" not in known  # a network without weights
    assert list(models_to_choose("mine.safetensors"))[:2] == ["mine.safetensors", "gifnet"]
    assert models_to_choose(fuser)["the model"] is fuser


def test_examples_are_there() -> None:
    chosen = examples()
    assert len(chosen) >= 4
    for example in chosen:
        assert example.task in TASKS
        assert all(path.parent == ROOT / "examples" / "data" and path.is_file() for path in example.files)


def test_the_space_asks_for_the_version_that_is_tested() -> None:
    settings = (ROOT / "examples" / "space" / "README.md").read_text().split("---\n")[1].splitlines()
    version = next(line.removeprefix("sdk_version: ") for line in settings if line.startswith("sdk_version: "))
    assert f"gradio=={version}" in (ROOT / "constraints.txt").read_text().splitlines()
