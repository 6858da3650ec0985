"""colour=: whose colours a pair's result has."""

from pathlib import Path

import numpy as np
import pytest
from commands import run
from conftest import Passing, photo
from PIL import Image

from gifnet import Fuser, InputError
from gifnet.images import colour
from gifnet.images.reading import read


@pytest.fixture(scope="module")
def mean() -> Fuser:
    return Fuser(Passing(), "cpu")


def chroma(image: np.ndarray) -> np.ndarray:
    found = colour.split(read(image, "x").load().pixels)[1]
    assert found is not None
    return found.numpy()


def false_colours() -> np.ndarray:
    """A thermal image in a palette from blue to yellow."""
    levels = photo(channels=0, seed=5).astype(np.float32) / 255
    return (np.stack([levels, levels, 1 - levels], axis=-1) * 200 + 20).round().astype(np.uint8)


def test_colours_are_those_of_the_image_that_is_named(mean: Fuser) -> None:
    visible = (64 + photo(seed=1) // 2).astype(np.uint8)
    thermal = false_colours()
    grey = np.asarray(Image.fromarray(thermal).convert("L"))
    fused = mean.fuse(thermal, visible, colour="b")
    assert np.abs(fused.astype(int) - mean.fuse(grey, visible)).max() <= 1, "as with the thermal image in grey"
    fused = mean.fuse(thermal, visible, colour="a")
    expected = mean.fuse(thermal, np.asarray(Image.fromarray(visible).convert("L")))
    assert np.abs(fused.astype(int) - expected).max() <= 1
    assert not np.array_equal(fused, mean.fuse(thermal, visible))


def test_what_is_taken_as_grey_can_be_stretched(mean: Fuser) -> None:
    dim = false_colours() // 4
    stretched = mean.fuse(dim, np.zeros_like(dim), colour="b", stretch=(0, 100))
    assert stretched.max() >= 127
    assert mean.fuse(dim, np.zeros_like(dim), stretch=(0, 100)).max() < 60, "colour is left alone"


def test_large_arrays_that_are_read_by_regions(mean: Fuser, tmp_path: Path) -> None:
    thermal, visible = false_colours(), photo(seed=1)
    mapped = np.memmap(tmp_path / "m", np.uint8, "w+", shape=thermal.shape)
    mapped[...] = thermal
    np.testing.assert_array_equal(mean.fuse(mapped, visible, colour="b"), mean.fuse(thermal, visible, colour="b"))
    grey = mean.fuse(mapped, visible[..., 0].copy(), colour="b")
    np.testing.assert_array_equal(grey[..., 0], mean.fuse(thermal, visible[..., 0].copy(), colour="b")[..., 0])


def test_on_the_command_line(tmp_path: Path) -> None:
    for name, image in {"a": false_colours(), "b": photo(channels=0)}.items():
        Image.fromarray(image).save(tmp_path / f"{name}.png")
    arguments = (tmp_path / "a.png", tmp_path / "b.png", "-o", tmp_path / "out.png", "--device", "cpu")
    done = run("fuse", *arguments, "--colour", "b")
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "out.png").mode == "L", "the photograph is grey"
    assert run("fuse", *arguments, "--colour", "c").returncode == 2


def test_not_of_stacks(mean: Fuser) -> None:
    with pytest.raises(InputError, match="colour: 'b' is an image of a pair"):
        mean.fuse([photo()] * 3, colour="b")


def test_a_radiometric_jpeg_says_what_else_it_holds(
    mean: Fuser, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "FLIR0001.jpg"
    Image.fromarray(false_colours()).save(path)
    content = path.read_bytes()
    segment = b"FLIR\0\1\0\0" + b"FFF\0" + bytes(60)
    segment = b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment
    path.write_bytes(content[:2] + segment + content[2:])
    mean.enhance(path)
    assert "FLIR0001.jpg: holds a camera's raw thermal image" in caplog.text
    assert "exiftool -b -RawThermalImage" in caplog.text
    caplog.clear()
    mean.enhance(content)
    assert not caplog.text
