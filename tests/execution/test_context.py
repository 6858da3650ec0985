"""What torch is set to around a call changes nothing: autocast, default dtype and device, gradients, determinism."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, photo
from PIL import Image

import gifnet
from gifnet import Fuser
from gifnet.checkpoints.format import load_weights
from gifnet.networks.gifnet import GIFNet

WEIGHTS = ROOT / "weights" / "gifnet.safetensors"


@contextmanager
def default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device() -> Iterator[None]:
    torch.set_default_device("meta")  # which has no values: whatever lands there can't come back
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)  # and fills new memory with NaN
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def gradients() -> Iterator[None]:
    with torch.enable_grad(), torch.autograd.set_detect_anomaly(True, check_nan=False):
        yield


CONTEXTS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "autocast": lambda: torch.autocast("cpu"),
    "autocast to float16": lambda: torch.autocast("cpu", torch.float16),
    "default dtype": default_dtype,
    "default device": default_device,
    "deterministic": deterministic,
    "gradients": gradients,
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
}


@pytest.fixture(params=[1, 3], ids=["one thread", "three threads"])
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


def results(fuser: Fuser, path: Path) -> dict[str, np.ndarray]:
    """What every way into the model gives."""
    grey, colour, other = photo(40, 56, 0), photo(40, 56, 3, seed=1), photo(40, 56, 4, seed=2)
    unscaled = grey * 3.7 + 250
    planes = [torch.from_numpy(image.astype(np.float32) / 255) for image in (grey, colour[..., 0])]
    batch = [plane.expand(2, 1, -1, -1) for plane in planes]
    return {
        "grey": fuser.fuse(grey, photo(40, 56, 0, seed=4)),
        "colour": fuser.fuse(colour, other),
        "file": np.asarray(fuser.fuse(path, grey)),
        "tensors": np.asarray(fuser.fuse(*batch)),
        "gradients wanted": np.asarray(fuser.fuse(planes[0][None].clone().requires_grad_(), planes[1][None]).detach()),
        "stretched": fuser.fuse(unscaled, colour, stretch=True),
        "resized": fuser.fuse(grey, photo(80, 112, 3), resize="a"),
        "stack": fuser.fuse(grey, colour, other),
        "enhanced": fuser.enhance(colour, 0.5),
        "memory": fuser.fuse(grey, colour, memory="400MB", tile=64),
        "into": fuser.fuse(grey, photo(40, 56, 0, seed=4), out=np.empty_like(grey)),
        "planes": np.asarray(fuser.fuse_planes(*batch)),
        "half": fuser.fuse(grey.astype(np.float16) / 255, colour),
        "double": fuser.fuse(grey / 255.0, colour),
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("context") / "a.png"
    Image.fromarray(photo(40, 56, 3, seed=3)).save(path)
    return path


@pytest.fixture(scope="module")
def fuser(small_network: GIFNet) -> Fuser:
    return Fuser(small_network, "cpu", "float32")


@pytest.fixture(scope="module")
def expected(fuser: Fuser, file: Path) -> dict[str, np.ndarray]:
    """Without a context, and of any number of threads: what each number gives is the same."""
    return results(fuser, file)


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_same_values_in_any_context(
    fuser: Fuser, expected: dict[str, np.ndarray], threads: None, file: Path, name: str
) -> None:
    with CONTEXTS[name]():
        found = results(fuser, file)
        anew = fuser.to().fuse(photo(40, 56, 0), photo(40, 56, 0, seed=4))
    for case, values in expected.items():
        np.testing.assert_array_equal(found[case], values, err_msg=case)
        assert found[case].dtype == values.dtype, case
    np.testing.assert_array_equal(anew, expected["grey"])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in ("default dtype", "inference mode") else pytest.mark.slow)
        for name in CONTEXTS
    ],
)
def test_models_load_the_same_in_any_context(name: str) -> None:
    expected = load_weights(WEIGHTS).state_dict()
    state = torch.get_rng_state()
    with CONTEXTS[name]():
        loaded = load_weights(WEIGHTS)
        fuser = Fuser(loaded, "cpu", "float32")
    assert torch.equal(torch.get_rng_state(), state), "the caller's seed is its own"
    assert {str(value.device) for value in loaded.state_dict().values()} == {"cpu"}
    for key, value in loaded.state_dict().items():
        assert torch.equal(value, expected[key]), key
        assert value.dtype == torch.float32, key
    a, b = photo(24, 24, 0), photo(24, 24, 0, seed=1)
    np.testing.assert_array_equal(fuser.fuse(a, b), gifnet.load(device="cpu", dtype="float32").fuse(a, b))


@pytest.fixture(scope="module")
def aligned() -> tuple[np.ndarray, np.ndarray, gifnet.Alignment]:
    """An image, it moved, and how, found without a context."""
    pytest.importorskip("cv2")
    image = photo(120, 160, 4, seed=5)
    moved = np.roll(image, (3, 5), (0, 1))
    return image, moved, gifnet.align(image, moved, motion="translation")


@pytest.mark.parametrize("name", CONTEXTS)
def test_aligning_and_warping_in_any_context(
    aligned: tuple[np.ndarray, np.ndarray, gifnet.Alignment], name: str
) -> None:
    image, moved, expected = aligned
    warped = expected.warp(moved)
    with CONTEXTS[name]():
        found = gifnet.align(image, moved, motion="translation")
        again = found.warp(moved)
    np.testing.assert_array_equal(found.matrix, expected.matrix)
    np.testing.assert_array_equal(again, warped)


def test_results_can_be_used_where_gradients_are_wanted(small_network: GIFNet) -> None:
    fused = Fuser(small_network, "cpu", "float32").fuse(torch.rand(1, 20, 20), torch.rand(1, 20, 20))
    weight = torch.ones(1, requires_grad=True)
    (fused * weight).sum().backward()  # which tensors of inference mode refuse
    assert weight.grad is not None


def test_the_context_around_a_call_is_what_it_was(small_network: GIFNet) -> None:
    fuser = Fuser(small_network, "cpu", "float32")
    with torch.autocast("cpu", torch.float16), torch.device("meta"):
        fuser.fuse(photo(20, 20), photo(20, 20, seed=1))
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.float16
        assert torch.empty(1).device.type == "meta"
        assert torch.is_grad_enabled()
