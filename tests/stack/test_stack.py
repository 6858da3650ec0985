"""Stacks of more than two images: what N copies, any order, any size and any kind give; files; the command line."""

import gc
import itertools
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from commands import run
from conftest import EXAMPLES, Mean, StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet import fuser as fuser_module
from gifnet.files.listing import stack_files
from gifnet.images import colour
from gifnet.images.picture import Picture
from gifnet.networks.gifnet import GIFNet
from gifnet.stack.composition import compose
from gifnet.stack.exposures import ExposureBlend
from gifnet.training.defocus import gaussian_blur


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, device="cpu", dtype="float32")


class First(StandIn):
    """In a network's place: gives the first plane, and counts how often it runs."""

    runs = 0

    def form(self) -> Mean:
        counter = self

        class Pass(Mean):
            def forward(self, planes: torch.Tensor) -> torch.Tensor:
                counter.runs += 1
                return planes[:, :1]

        return Pass()


def levels(a: Any, b: Any) -> int:
    """The largest difference, in levels."""
    return int(np.abs(np.asarray(a).astype(int) - np.asarray(b).astype(int)).max())


def texture() -> np.ndarray:
    """A detailed part of a photograph, (96, 128) grey in [0, 1], float32."""
    grey = Image.open(EXAMPLES / "portrait_a.jpg").convert("L").crop((150, 60, 278, 156))
    return np.asarray(grey, dtype=np.float32) / 255


def focus_stack(sharp: np.ndarray, planes: int) -> list[np.ndarray]:
    """Each image is sharp in one upright stripe and blurred more and more away from it."""
    column = np.linspace(0, planes - 1, sharp.shape[1])
    plane = torch.from_numpy(sharp)[None, None]
    blurred = [sharp] + [gaussian_blur(plane, torch.tensor([1.2 * i]))[0, 0].numpy() for i in range(1, planes)]
    distances = [np.abs(column - focus) for focus in range(planes)]
    rows = np.arange(sharp.shape[0])[:, None]
    return [np.stack(blurred)[d.round().astype(int), rows, np.arange(sharp.shape[1])] for d in distances]


def error(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


# --- what the stack must keep ---------------------------------------------------------------------


@pytest.mark.parametrize("count", [3, 5])
@pytest.mark.parametrize("channels", [0, 3, 4])
def test_copies_give_what_two_of_them_give(count: int, channels: int) -> None:
    image = photo(channels=channels, seed=count)
    assert levels(gifnet.fuse(*[image] * count), gifnet.fuse(image, image)) <= 1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 50), (7, 7), (8, 8), (17, 16), (31, 64), (129, 33)])
def test_copies_of_any_size(fuser: Fuser, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 65536, shape).astype(np.uint16)
    # 16 bits: rounding in float32, at most a 256th of an 8-bit level
    assert levels(fuser.fuse(image, image, image), fuser.fuse(image, image)) <= 256


def test_extreme_images(fuser: Fuser) -> None:
    for image in (np.zeros((20, 20), np.uint8), np.full((20, 20, 3), 255, np.uint8), np.eye(40, dtype=np.uint8) * 255):
        assert levels(fuser.fuse(image, image, image), fuser.fuse(image, image)) <= 1
    checks = (np.indices((64, 64)).sum(axis=0) % 2).astype(np.float32)  # the strongest detail there is
    assert np.isfinite(fuser.fuse(checks, 1 - checks, checks)).all()


def test_order_does_not_matter(fuser: Fuser) -> None:
    images = [photo(seed=seed) for seed in range(3)] + [photo(channels=4, seed=9)]
    results = [fuser.fuse(*order) for order in itertools.permutations(images)]
    assert all(result.shape == (40, 56, 4) for result in results)
    assert max(levels(result, results[0]) for result in results) <= 1


def test_the_network_runs_once_whatever_the_number() -> None:
    network = First()
    counting = Fuser(network, device="cpu")
    counting.fuse(*[photo(seed=seed) for seed in range(7)])
    assert network.runs == 1


def test_two_images_are_fused_as_they_are(fuser: Fuser) -> None:
    a, b = (torch.rand(1, 1, 24, 24, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    assert torch.equal(fuser.fuse(a, b), fuser.fuse_planes(a, b))


# --- what it is for -------------------------------------------------------------------------------


@pytest.mark.parametrize("planes", [5, 8])
def test_focus_stack_is_sharp_throughout(planes: int) -> None:
    sharp = texture()
    images = focus_stack(sharp, planes)
    chained = images[0]
    for image in images[1:]:
        chained = gifnet.fuse(chained, image)
    fused = gifnet.fuse(*images)
    assert error(fused, sharp) < 0.89 * error(chained, sharp), "better by a decibel"
    assert error(fused, sharp) < 0.5 * min(error(image, sharp) for image in images)


def test_the_composition_of_a_focus_stack_has_no_seams() -> None:
    sharp = texture()
    composed = Fuser(First(), device="cpu").fuse(*focus_stack(sharp, 5))
    difference = composed - sharp
    assert error(composed, sharp) < 0.01
    assert np.abs(np.diff(difference.mean(axis=0))).max() < 0.02, "a seam is a step between columns"


def test_focus_is_chosen_pixel_by_pixel_and_exposure_is_not() -> None:
    sharp = texture()
    images = focus_stack(sharp, 5)
    first, second = compose([torch.from_numpy(image)[None, None] for image in images])
    blend = ExposureBlend()
    for image in images:
        blend.add(torch.from_numpy(image)[None, None])
    blended = error(blend.planes()[0][0, 0].numpy(), sharp)
    assert error(first[0, 0].numpy(), sharp) < 0.8 * blended
    assert error(second[0, 0].numpy(), sharp) < error(images[2], sharp)
    bracket = [torch.from_numpy(sharp)[None, None] ** gamma for gamma in (0.4, 1.0, 2.5)]
    blend = ExposureBlend()
    for image in bracket:
        blend.add(image)
    for plane, expected in zip(compose(bracket), blend.planes(), strict=True):
        torch.testing.assert_close(plane, expected.clamp(0, 1), atol=1e-5, rtol=0)


def test_planes_of_a_batch_and_of_any_order() -> None:
    sharp = texture()
    images = [torch.from_numpy(image)[None, None] for image in focus_stack(sharp, 4)]
    bracket = [images[0] ** gamma for gamma in (0.3, 0.6, 1.0, 2.0)]
    both = compose([torch.cat(pair) for pair in zip(images, bracket, strict=True)])
    for plane, focus, exposures in zip(both, compose(images[::-1]), compose(bracket[::-1]), strict=True):
        torch.testing.assert_close(plane, torch.cat([focus, exposures]), atol=1e-5, rtol=0)


def test_colours_of_a_bracket_are_those_of_the_scene() -> None:
    scene = np.random.default_rng(3).uniform(0.1, 0.5, (6, 8, 3)).repeat(16, axis=0).repeat(16, axis=1)
    bracket = [np.clip(scene * 2.0**stop, 0, 1).astype(np.float32) ** (1 / 2.2) for stop in (-2, 0, 2)]
    fused = Fuser(First(), device="cpu").fuse(*bracket)
    luma, chroma = colour.split(torch.from_numpy(fused).permute(2, 0, 1)[None])
    true_luma, true = colour.split(torch.from_numpy(scene.astype(np.float32) ** (1 / 2.2)).permute(2, 0, 1)[None])
    assert chroma is not None
    assert true is not None
    inside = np.s_[..., 8::16, 8::16]
    hues = torch.atan2(chroma[:, 1], chroma[:, 0])[inside] - torch.atan2(true[:, 1], true[:, 0])[inside]
    turned = torch.atan2(hues.sin(), hues.cos()).abs()[true.norm(dim=1)[inside] > 0.05]
    assert float(turned.rad2deg().mean()) < 2
    saturation = (chroma.norm(dim=1) / luma[:, 0])[inside] / (true.norm(dim=1) / true_luma[:, 0])[inside]
    assert 0.9 < float(saturation.median()) < 1.1, "small differences of luminance are not scaled by"


def test_exposure_bracket_shows_shadows_and_lights() -> None:
    y, x = np.mgrid[:64, :64] / 64.0
    light = 2.0 ** (8 * x - 6) * (1 + 0.2 * np.sin(40 * y))  # eight stops, with a texture of constant contrast
    bracket = [np.clip(light * 2.0**-stop, 0, 1).astype(np.float32) ** (1 / 2.2) for stop in (-4, -2, 0, 2)]
    composed = Fuser(First(), device="cpu").fuse(*bracket)

    def contrast(image: np.ndarray) -> float:
        """The least of the contrasts of stripes, in [0, 1]."""
        return float(min(image[:, left : left + 8].std(axis=0).mean() for left in range(0, 64, 8)))

    assert contrast(composed) > 2 * max(contrast(image) for image in bracket)
    assert 0.25 < composed.mean() < 0.75


def test_noise_is_averaged_not_selected() -> None:
    rng = np.random.default_rng(0)
    noisy = [np.clip(0.5 + rng.normal(0, 1 / 255, (64, 64)), 0, 1).astype(np.float32) for _ in range(8)]
    composed = Fuser(First(), device="cpu").fuse(*noisy)
    assert composed.std() < 0.6 * noisy[0].std()


# --- kinds, colour, alpha -------------------------------------------------------------------------


def test_the_first_decides_kind_and_dtype(fuser: Fuser, tmp_path: Path) -> None:
    array = photo()
    path = tmp_path / "x.png"
    Image.fromarray(array).save(path)
    tensor = torch.from_numpy(array).permute(2, 0, 1)
    assert isinstance(fuser.fuse(path, array, tensor), Image.Image)
    assert isinstance(fuser.fuse(path.read_bytes(), array, tensor), bytes)
    assert fuser.fuse(tensor, array, str(path)).dtype == torch.uint8
    deep = fuser.fuse(array.astype(np.uint16) * 257, array, path)
    assert deep.dtype == np.uint16
    assert levels(deep // 257, fuser.fuse(array, array)) <= 1


def test_batches_are_fused_as_batches(fuser: Fuser) -> None:
    batches = [torch.rand(2, 3, 16, 20, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    fused = fuser.fuse(*batches)
    for i in range(2):
        torch.testing.assert_close(fused[i], fuser.fuse(*(batch[i] for batch in batches)), atol=1e-4, rtol=0)


def test_colour_is_that_of_the_coloured_and_unclipped() -> None:
    passing = Fuser(First(), device="cpu")
    grey, red = np.full((16, 16), 0.5, np.float32), np.tile(np.float32([0.6, 0.3, 0.3]), (16, 16, 1))
    fused = passing.fuse(grey, grey, red)
    np.testing.assert_allclose(fused[..., 0] - fused[..., 1], 0.3, atol=0.01)
    np.testing.assert_allclose(fused[..., 1], fused[..., 2], atol=0.01)
    orange = np.tile(np.float32([0.8, 0.4, 0.1]), (16, 16, 1))
    clipped = np.minimum(orange * 2.5, 1)  # yellow
    fused = passing.fuse(orange, clipped, clipped)[8, 8]
    assert (fused[1] - fused[2]) / (fused[0] - fused[2]) == pytest.approx(3 / 7, abs=0.05), "the hue of the unclipped"


def test_alpha_is_the_least(fuser: Fuser) -> None:
    images = [photo(channels=4, seed=seed) for seed in range(3)]
    fused = fuser.fuse(photo(seed=7), *images)
    np.testing.assert_array_equal(fused[..., 3], np.min([image[..., 3] for image in images], axis=0))


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "stack"
    folder.mkdir()
    for index, suffix in enumerate((".png", ".bmp", ".tif", ".PNG")):
        Image.fromarray(photo(seed=index)).save(folder / f"{index}{suffix}", format=None)
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden.png").write_text("not an image")
    return folder


def test_files_are_read_one_at_a_time(fuser: Fuser, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels: list[weakref.ref[torch.Tensor]] = []
    read = fuser_module.read

    def watched(source: Any, argument: str, page: int | None = None) -> Any:
        gc.collect()
        assert not [ref for ref in pixels if ref() is not None], "an earlier image is still held"
        picture = read(source, argument, page)
        assert isinstance(picture, Picture)
        pixels.append(weakref.ref(picture.pixels))
        return picture

    monkeypatch.setattr(fuser_module, "read", watched)
    fuser.fuse(*stack_files(folder))
    assert len(pixels) == 4


def test_errors_name_the_file(fuser: Fuser, folder: Path) -> None:
    small = folder / "small.png"
    Image.fromarray(photo(8, 8)).save(small)
    paths = stack_files(folder)
    with pytest.raises(InputError, match=r"small\.png is 8×8.*one size"):
        fuser.fuse(*paths)
    small.write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"small\.png"):
        fuser.fuse(*paths)
    with pytest.raises(InputError, match=r"a is 56×40.*c is 8×8"):
        fuser.fuse(photo(), photo(), photo(8, 8))
    with pytest.raises(InputError, match="c: list is no image"):
        fuser.fuse(photo(), photo(), [1])  # type: ignore[arg-type]
    batch = torch.rand(2, 1, 9, 9)
    with pytest.raises(InputError, match="holds 2 images but c holds 1"):
        fuser.fuse(batch, batch, batch[:1])


def test_stack_files(folder: Path, tmp_path: Path) -> None:
    names = [Path(path).name for path in stack_files(folder)]
    assert names == ["0.png", "1.bmp", "2.tif", "3.PNG"]
    assert [Path(path).name for path in stack_files(folder, folder / "1.bmp")] == ["0.png", "2.tif", "3.PNG"]
    with pytest.raises(InputError, match="no such folder"):
        stack_files(tmp_path / "none")
    with pytest.raises(InputError, match="holds 0 images"):
        stack_files(tmp_path)


def test_command_line(folder: Path) -> None:
    paths = stack_files(folder)
    expected = gifnet.fuse(*paths)
    assert run("fuse", "--stack", folder, "-o", folder / "out.png", "--device", "cpu").returncode == 0
    assert levels(Image.open(folder / "out.png"), expected) <= 1
    again = run("fuse", "--stack", folder, "-o", folder / "out.png", "--device", "cpu")
    assert again.returncode == 0, again.stderr
    assert levels(Image.open(folder / "out.png"), expected) <= 1, "the output of the first run was no input"
    assert run("fuse", *paths, "-o", folder / "b.jpg").returncode == 0
    both = run("fuse", *paths, "--stack", folder, "-o", folder / "c.png")
    assert both.returncode == 1
    assert "either a folder or images" in both.stderr
    one = run("fuse", paths[0], "-o", folder / "c.png")
    assert one.returncode == 2
    assert "B" in one.stderr
    assert not (folder / "c.png").exists()
