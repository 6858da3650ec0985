"""Results written into ``out``: whole batches, in every order of axes; and what is only copied runs no network."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Mean, Passing, StandIn, photo
from PIL import Image

import gifnet
from gifnet import Fuser, InputError
from gifnet.images import canvas
from gifnet.networks.gifnet import GIFNet


class Running(Mean):
    """Says that it ran."""

    def run(self, *_: Any, **__: Any) -> None:
        raise AssertionError("the network ran")


class Untouched(StandIn):
    def form(self) -> Running:
        return Running()


@pytest.fixture
def untouched() -> Fuser:
    return Fuser(Untouched(), "cpu")


def batch(count: int, channels: int, seed: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    values = torch.rand(count, channels, 33, 47, generator=torch.Generator().manual_seed(seed))
    return values if dtype.is_floating_point else (values * 255).to(dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("first", "second"), [(1, 1), (3, 1), (1, 3), (3, 3), (4, 1), (3, 4)])
@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_comes_whole(
    small_network: GIFNet, tmp_path: Path, count: int, first: int, second: int, dtype: torch.dtype
) -> None:
    fuser = Fuser(small_network if first == second else Passing(), "cpu", "float32")
    a, b = batch(count, first, 1, dtype), batch(count, second, 2)
    expected = fuser.fuse(a, b)
    for index in range(count):
        assert torch.equal(expected[index], fuser.fuse(a[index], b[index])), "each as alone"
    values = expected.numpy()
    last = values.transpose(0, 2, 3, 1)
    memmap = np.memmap(tmp_path / "out", values.dtype, "w+", shape=values.shape)
    cases = [
        (np.zeros_like(values), values),
        (memmap, values),
        (np.zeros_like(last, order="C"), last),
        (torch.zeros_like(expected), values),
        (np.zeros((*values.shape[:3], 2 * values.shape[3]), values.dtype)[..., ::2], values),  # a view
    ]
    cases += [(np.zeros_like(last[..., 0]), last[..., 0])] if values.shape[1] == 1 else []
    cases += [(np.zeros_like(values[0]), values[0]), (np.zeros_like(last[0]), last[0])] if count == 1 else []
    for out, right in cases:
        assert fuser.fuse(a, b, out=out) is out
        np.testing.assert_array_equal(np.asarray(out), right)
    del memmap
    np.testing.assert_array_equal(np.memmap(tmp_path / "out", values.dtype, "r", shape=values.shape), values)
    enhanced = fuser.enhance(a, out=torch.zeros_like(a))
    assert torch.equal(enhanced, fuser.enhance(a))


def test_the_result_s_own_order_decides_where_a_shape_fits_several() -> None:
    mean = Fuser(Passing(), "cpu")
    tensor = torch.rand(3, 3, 3, generator=torch.Generator().manual_seed(0))
    out = np.zeros((3, 3, 3), np.float32)
    np.testing.assert_array_equal(mean.fuse(tensor, tensor, out=out), mean.fuse(tensor, tensor).numpy())
    array = photo(3, 3)
    np.testing.assert_array_equal(mean.fuse(array, array, out=np.zeros_like(array)), mean.fuse(array, array))


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((2, 33, 47), np.float32),
        np.zeros((33, 47), np.float32),
        np.zeros((3, 1, 33, 47), np.float64),
        np.zeros((3, 3, 33, 47), np.float32),
        torch.zeros(2, 1, 33, 47),
        torch.zeros(3, 1, 33, 47, dtype=torch.bfloat16),
        torch.zeros(3, 1, 33, 47, device="meta"),
        torch.zeros(1, 1, 1, 1).expand(3, 1, 33, 47),
        np.broadcast_to(np.zeros(1, np.float32), (3, 1, 33, 47)),
    ],
)
def test_what_a_batch_does_not_fit_into_is_refused_before_the_work(untouched: Fuser, out: Any) -> None:
    with pytest.raises(InputError, match=r"^out: "):
        untouched.fuse(batch(3, 1, 1), batch(3, 1, 2), out=out)
    with pytest.raises(InputError, match=r"^out: "):
        untouched.enhance(batch(3, 1, 1), 0, out=out)


# --- work for nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float16, np.float64])
@pytest.mark.parametrize("channels", [0, 1, 3, 4])
def test_enhancing_by_nothing_copies(untouched: Fuser, tmp_path: Path, dtype: Any, channels: int) -> None:
    image = photo(90, 130, channels)
    image = (image / 255).astype(dtype) if np.dtype(dtype).kind == "f" else image.astype(dtype)
    mapped = np.memmap(tmp_path / "in", dtype, "w+", shape=image.shape)
    mapped[...] = image
    right = image.astype(np.float32)  # in which gifnet computes
    out = np.memmap(tmp_path / "out", dtype, "w+", shape=image.shape)
    steps: list[tuple[int, int]] = []
    for result in (
        untouched.enhance(image, 0),
        untouched.enhance(mapped, 0.0),
        untouched.enhance(image, 0, out=np.zeros_like(image)),
        untouched.enhance(mapped, 0, out=out, progress=lambda *step: steps.append(step)),
    ):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result.astype(np.float32), right)
    assert steps == [(1, 1)]


def test_large_arrays_are_copied_by_parts(untouched: Fuser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gifnet.results.COPIED", 50)
    monkeypatch.setattr("gifnet.images.lazy.LARGE", 1)
    written: list[int] = []
    write = canvas.ArrayCanvas.write

    def counted(self: Any, index: int, region: Any, *pixels: Any) -> None:
        written.append(region.shape[0] * region.shape[1])
        write(self, index, region, *pixels)

    monkeypatch.setattr(canvas.ArrayCanvas, "write", counted)
    image = photo(90, 130, 3)
    np.testing.assert_array_equal(untouched.enhance(image, 0), image)
    assert sum(written) == 90 * 130
    assert max(written) <= 70 * 70  # what is short joins its neighbour


@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_tensors_and_files_are_copied_too(untouched: Fuser, tmp_path: Path, kind: torch.dtype) -> None:
    tensor = batch(2, 3, 5, kind)
    assert torch.equal(untouched.enhance(tensor, 0), tensor)
    assert torch.equal(untouched.enhance(tensor, 0, out=torch.zeros_like(tensor)), tensor)
    Image.fromarray(photo()).save(tmp_path / "a.png")
    np.testing.assert_array_equal(np.asarray(untouched.enhance(tmp_path / "a.png", 0)), photo())


def test_enhancing_by_nothing_still_refuses_what_is_wrong(untouched: Fuser) -> None:
    image = np.random.default_rng(0).random((300, 300), dtype=np.float32)
    large = np.zeros((1 << 12, 1 << 12), np.uint8)
    with pytest.raises(InputError, match="out: shares memory"):
        untouched.enhance(large, 0, out=large[::-1])
    with pytest.raises(InputError, match="strength"):
        untouched.enhance(image, -1)


def test_whether_arrays_show_colour_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    original = gifnet.images.lazy.LazyPicture.shows_colour

    def counted(self: Any) -> bool:
        looked.append(self.name)
        return bool(original(self))

    monkeypatch.setattr("gifnet.images.lazy.LARGE", 1)
    monkeypatch.setattr(gifnet.images.lazy.LazyPicture, "shows_colour", counted)
    a, b = photo(40, 50), photo(40, 50, 0)
    Fuser(Passing(), "cpu").fuse(a, b)
    assert looked == ["a", "b"]
