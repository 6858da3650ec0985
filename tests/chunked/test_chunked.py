"""Dask arrays and xarray: lazy, and the pixels of the image in memory, whatever the chunks."""

import pickle
import subprocess
import sys
import time
from collections.abc import Iterator

import dask
import dask.array as da
import numpy as np
import pytest
import torch
import xarray as xr
from conftest import Passing, photo, random_network

import gifnet
from gifnet import InputError
from gifnet.chunked import parts
from gifnet.chunked.parts import edges_of
from gifnet.chunked.view import NEIGHBOURS, View, strips_of, surrounded
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.networks.tita import TITA, TITAConfig

TOLERANCE = 1e-5  # of float32: statistics are summed in another order
H, W = 150, 203


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """In this thread, and small parts, or these images were one."""
    monkeypatch.setattr(parts, "SMALLEST", 64)
    with dask.config.set(scheduler="synchronous"):
        yield


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return network.eval()


@pytest.fixture(scope="module")
def fuser() -> gifnet.Fuser:
    return gifnet.Fuser(random_network(growth=4, position_hidden=8))


@pytest.fixture(scope="module")
def fast() -> gifnet.Fuser:
    return gifnet.Fuser(shaken(FastNetwork(FastConfig(half=8, quarter=8, half_layers=1, quarter_layers=1))))


def grey(seed: int, height: int = H, width: int = W) -> np.ndarray:
    return photo(height, width, 0, seed).astype(np.float32) / 255


CHUNKS = {"even": 64, "odd": (50, 37), "tiny": (7, 11), "one": -1, "unequal": ((100, 1, 49), (3, 130, 70))}


@pytest.mark.parametrize("chunks", ["odd", pytest.param("unequal", marks=pytest.mark.slow)])
def test_pixels_are_those_in_memory(fuser: gifnet.Fuser, chunks: str) -> None:
    a, b = grey(0), grey(1)
    lazy = da.from_array(a, chunks=CHUNKS[chunks])
    fused = fuser.fuse(lazy, da.from_array(b, chunks=(H, 60)))
    assert isinstance(fused, da.Array)
    assert (fused.dtype, fused.chunks) == (np.float32, lazy.chunks)
    want = fuser.fuse(a, b)
    assert want.std() > 0.01
    np.testing.assert_allclose(fused.compute(), want, atol=TOLERANCE, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("chunks", CHUNKS)
@pytest.mark.parametrize("network", ["gifnet", "gifnet-fast", "tita"])
@pytest.mark.parametrize("channels", [0, 3])
def test_every_network_and_chunking(fuser: gifnet.Fuser, network: str, chunks: str, channels: int) -> None:
    if network == "tita":
        fuser = gifnet.Fuser(shaken(TITA(TITAConfig(channels=12, heads=2, depth=2, groups=1))))
    elif network == "gifnet-fast":
        fuser = gifnet.Fuser(shaken(FastNetwork(FastConfig(half=8, quarter=8))))
    a, b = (photo(219, 341, channels, seed) / np.float32(255) for seed in (0, 1))
    size = CHUNKS[chunks] if chunks != "unequal" else ((100, 1, 118), (3, 130, 208))
    lazy = [da.from_array(x, chunks=(*size, -1)[: x.ndim] if isinstance(size, tuple) else size) for x in (a, b)]
    np.testing.assert_allclose(fuser.fuse(*lazy).compute(), fuser.fuse(a, b), atol=TOLERANCE, rtol=0)
    np.testing.assert_allclose(fuser.enhance(lazy[0]).compute(), fuser.enhance(a), atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("which", ["rgb rgb", "grey rgb", "rgba grey", "rgb that is grey"])
def test_colour_and_alpha(fast: gifnet.Fuser, which: str) -> None:
    """The chroma of one, or of both by evidence, as in memory; and which are in colour may show in one chunk only."""
    rgb, plain = photo(H, W, 3), photo(H, W, 0, 1)
    a, b = {
        "rgb rgb": (rgb, photo(H, W, 3, 1)),
        "grey rgb": (plain, rgb),
        "rgba grey": (np.dstack([rgb, photo(H, W, 0, 2)]), plain),
        "rgb that is grey": (np.repeat(plain[..., None], 3, axis=2), rgb),
    }[which]
    fused = fast.fuse(da.from_array(a, chunks=70), da.from_array(b, chunks=50)).compute()
    want = fast.fuse(a, b)
    assert (fused.shape, fused.dtype) == (want.shape, want.dtype)
    assert np.abs(fused.astype(int) - want).max() <= 1  # a rounding may fall otherwise
    assert (fused != want).mean() < 1e-3


def test_enhance(fast: gifnet.Fuser) -> None:
    x = photo(H, W, 3)
    lazy = da.from_array(x, chunks=64)
    half = fast.enhance(lazy, 0.5)
    assert np.abs(half.compute().astype(int) - fast.enhance(x, 0.5)).max() <= 1
    np.testing.assert_array_equal(fast.enhance(lazy, 0).compute(), fast.enhance(x, 0))


def test_one_lazy_result_is_another_s_input(fast: gifnet.Fuser) -> None:
    a, b = grey(0), grey(1)
    chained = fast.enhance(fast.fuse(da.from_array(a, chunks=64), da.from_array(b, chunks=64)))
    np.testing.assert_allclose(chained.compute(), fast.enhance(fast.fuse(a, b)), atol=TOLERANCE, rtol=0)


def test_nothing_is_computed_before_it_is_asked_for(fuser: gifnet.Fuser) -> None:
    def fail(block: np.ndarray) -> np.ndarray:
        raise AssertionError("computed")

    lazy = da.zeros((H, W), chunks=64, dtype=np.float32).map_blocks(fail, dtype=np.float32, meta=np.empty((0, 0)))
    fused = fuser.fuse(lazy, lazy)
    with pytest.raises(AssertionError, match="computed"):
        fused.compute()


def test_inputs_are_read_again_rather_than_kept(fuser: gifnet.Fuser) -> None:
    """Once in each pass, and in the second only when the first is done: else all of the scene would be in memory."""
    read: list[tuple[int, int]] = []

    def note(block: np.ndarray, block_id: tuple[int, int]) -> np.ndarray:
        read.append(block_id)
        return block

    lazy = da.from_array(grey(0), chunks=96).map_blocks(note, dtype=np.float32, meta=np.empty((0, 0), np.float32))
    fuser.fuse(lazy, da.from_array(grey(1), chunks=96)).compute()
    count = lazy.npartitions
    assert len(read) == 3 * count
    for start in range(0, 3 * count, count):
        assert len(set(read[start : start + count])) == count


def test_a_large_scene_s_graph_is_small_and_built_in_seconds(fuser: gifnet.Fuser) -> None:
    scene = [da.full((100_000, 100_000), value, chunks=2048, dtype=np.uint8) for value in (1, 2)]
    start = time.process_time()
    fused = fuser.fuse(*scene)
    assert time.process_time() - start < 10
    # Each pass reads two chunks, cuts strips for neighbours, and works: four tasks; and the statistics' reduction.
    assert len(fused.dask) < 3 * 4.2 * fused.npartitions


def test_models_travel_without_what_is_made_of_them(fuser: gifnet.Fuser) -> None:
    model = fuser.task_model(enhancing=False)
    assert model.form.measures == 2  # made
    again = pickle.loads(pickle.dumps(model))
    assert (again.form.measures, again.sha256) == (2, model.sha256)
    assert len(pickle.dumps(model)) < 1.5 * 4 * sum(p.numel() for p in fuser._network.parameters()) + 20_000


def labelled(values: np.ndarray, *dims: str, **attrs: str) -> xr.DataArray:
    coords = {dim: np.arange(values.shape[dims.index(dim)])[::-1] * 2.0 for dim in ("y", "x")}
    array = xr.DataArray(values, coords, dims, "scene", attrs)
    return array.assign_coords(spatial_ref=xr.Variable((), 0, {"crs_wkt": "LOCAL_CS[]"}))


@pytest.mark.parametrize("lazy", [False, True])
def test_labels_are_kept(fast: gifnet.Fuser, lazy: bool) -> None:
    a = labelled(photo(H, W, 0), "y", "x", units="K")
    b = labelled(photo(H, W, 3, 1).transpose(2, 0, 1), "band", "y", "x").assign_coords(band=[3, 2, 1])
    want = fast.fuse(a.values, b.values.transpose(1, 2, 0))
    given = (a.chunk(64), b.chunk(y=50)) if lazy else (a, b)
    fused = fast.fuse(*given)
    assert isinstance(fused, xr.DataArray)
    assert isinstance(fused.data, da.Array) == lazy
    assert (fused.dims, fused.attrs, fused.name) == (("band", "y", "x"), {"units": "K"}, "scene")
    assert fused.spatial_ref.attrs == {"crs_wkt": "LOCAL_CS[]"}
    for name, coordinate in (("y", a.y), ("x", a.x), ("band", b.band)):
        np.testing.assert_array_equal(fused[name], coordinate)
    assert np.abs(fused.values.transpose(1, 2, 0).astype(int) - want).max() <= 1
    enhanced = fast.enhance(given[1])
    assert enhanced.dims == b.dims
    assert np.abs(enhanced.values.astype(int) - b.values).max() > 1


def test_three_labelled_images_in_memory_are_a_stack(fast: gifnet.Fuser) -> None:
    images = [labelled(photo(H, W, 0, seed), "y", "x") for seed in range(3)]
    fused = fast.fuse(images)
    np.testing.assert_array_equal(fused.values, fast.fuse([image.values for image in images]))
    assert fused.dims == ("y", "x")


LAZY = da.from_array(grey(0), chunks=64)
XR = labelled(grey(0), "y", "x")


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ((LAZY, LAZY, LAZY), {}, "3 Dask arrays: stacks"),
        ((LAZY, LAZY), {"align": True}, "align: needs whole images"),
        ((LAZY, LAZY), {"stretch": True}, "stretch: needs whole images"),
        ((LAZY, LAZY), {"progress": True}, "progress: the work on Dask arrays"),
        ((LAZY, LAZY), {"out": np.empty((H, W))}, "out: not with Dask arrays"),
        ((LAZY, LAZY), {"return_depth": True}, "return_depth: not of Dask arrays"),
        ((LAZY, LAZY[:-1]), {}, "a is 203×150 pixels but b is 203×149"),
        ((LAZY, "b.png"), {}, "b: str beside a Dask array"),
        ((LAZY, grey(1)[1:]), {}, "a is 203×150 pixels but b is 203×149"),
        ((LAZY.astype(np.int16), LAZY), {}, "a: dtype int16"),
        ((LAZY[None], LAZY), {}, "a: array of shape"),
        ((LAZY[LAZY[:, 0] > 2], LAZY), {}, "a: "),
        ((LAZY, LAZY), {"memory": "1MB"}, "for each task: a part of"),
        ((XR, XR.assign_coords(x=XR.x + 1)), {}, "a and b have different coordinates x"),
        ((XR, XR), {"align": True}, "align: changes the coordinates"),
        ((XR.rename(y="up", x="along").expand_dims("t"), XR), {}, "a: DataArray with the dimensions t, up, along"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_can_t_be_done_is_said_before_any_work(
    fuser: gifnet.Fuser, images: tuple, options: dict, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        fuser.fuse(*images, **options)


def test_values_are_checked_as_they_are_read(fast: gifnet.Fuser) -> None:
    values = grey(0)
    values[-1, -1] = np.nan
    with pytest.raises(InputError, match="a: holds NaN"):
        fast.fuse(da.from_array(values, chunks=64), LAZY).compute()


def test_a_network_without_parts_is_refused() -> None:
    with pytest.raises(InputError, match="can't work on Dask arrays"):
        gifnet.Fuser(Passing()).fuse(LAZY, LAZY)


@pytest.mark.slow  # test_extras has fusing without them
def test_neither_package_is_imported_without_need() -> None:
    code = (
        "import sys, numpy, gifnet; gifnet.enhance(numpy.zeros((8, 8), 'uint8'));"
        "print([name for name in sys.modules if name.split('.')[0] in ('dask', 'xarray', 'distributed')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_parts_lie_on_the_grid_and_none_is_short() -> None:
    assert edges_of((100, 1, 49), 8, 40) == (0, 96, 150)
    assert edges_of((100, 1, 49), 8, 64) == (0, 150)
    assert edges_of((2048,) * 3 + (10,), 8, 256) == (0, 2048, 4096, 6154)
    assert edges_of((7,) * 100, 8, 64)[:3] == (0, 64, 128)
    assert edges_of((10,), 8, 64) == (0, 10)


def test_a_view_shows_a_chunk_and_its_surroundings() -> None:
    whole = np.arange(90 * 70 * 2).reshape(90, 70, 2)
    edges = ((0, 30, 60, 90), (0, 20, 50, 70))
    halo = 7, 5
    chunks = {
        (row, column): whole[edges[0][row] : edges[0][row + 1], edges[1][column] : edges[1][column + 1]]
        for row in range(3)
        for column in range(3)
    }
    for (row, column), chunk in chunks.items():
        places = [(row + down, column + across) for down, across in NEIGHBOURS]
        strips = [strips_of(chunks[place], halo) if place in chunks else None for place in places]
        values, above, before = surrounded(chunk, strips, halo)
        top, left = edges[0][row] - above, edges[1][column] - before
        view = View(values, top, left, whole.shape)
        np.testing.assert_array_equal(view[top : top + len(values), left : left + values.shape[1]], values)
        np.testing.assert_array_equal(values, whole[top : top + len(values), left : left + values.shape[1]])
        with pytest.raises(IndexError):
            _ = view[top : top + len(values) + 1, left : left + 1] if top + len(values) < 90 else view[top - 1 : 90, :]
