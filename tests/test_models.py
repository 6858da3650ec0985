"""Models by name: which file a name means when, how many are kept, and ``model=`` of every function."""

import gc
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import photo, random_network
from PIL import Image

import gifnet
from gifnet import InputError, models
from gifnet.checkpoints.format import file_sha256, network_sha256, save_weights
from gifnet.fuser import Fuser
from gifnet.networks.gifnet import GIFNet


def network(seed: int) -> GIFNet:
    return random_network(seed, growth=2, position_hidden=4)


@pytest.fixture(autouse=True)
def no_models_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "_models", type(models._models)())


def weights_of(fuser: Fuser) -> str:
    """Which weights it runs, whatever it calls itself."""
    assert isinstance(fuser._network, GIFNet)
    return network_sha256(fuser._network)


@pytest.mark.parametrize(
    "name", ["~/own.safetensors", "own.safetensors", "./own.safetensors", "{home}/own.safetensors"]
)
def test_a_file_written_anew_is_loaded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path, name = tmp_path / "own.safetensors", name.format(home=tmp_path)
    x = photo(24, 24, 0)
    found, results = [], []
    for seed in (1, 2):
        save_weights(network(seed), path)
        os.utime(path, ns=(10**18, 10**18))  # the size is the same too
        found.append(gifnet.load(name, device="cpu"))
        assert gifnet.load(name, device="cpu") is found[-1]
        assert weights_of(found[-1]) == file_sha256(path) == found[-1].sha256
        results.append(gifnet.fuse(x, x[::-1].copy(), model=name, device="cpu"))
    assert (results[0] != results[1]).any()
    assert len(models._models) == 1, "the model of the file as it was is let go"


def test_a_file_written_in_place_is_loaded_anew(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(network(1), path)
    first = gifnet.load(path, device="cpu")
    before = os.stat(path)
    save_weights(network(2), tmp_path / "other.safetensors")
    path.write_bytes((tmp_path / "other.safetensors").read_bytes())
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights_of(gifnet.load(path, device="cpu")) != weights_of(first)


def test_a_relative_name_means_the_file_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed, folder in enumerate("ab"):
        (tmp_path / folder / "run").mkdir(parents=True)
        save_weights(network(seed), tmp_path / folder / "own.safetensors")
        save_weights(network(seed), tmp_path / folder / "run" / "model.safetensors")
    for name in ("own.safetensors", "run"):
        found = {}
        for folder in "aba":
            monkeypatch.chdir(tmp_path / folder)
            fuser = gifnet.load(name, device="cpu")
            assert found.setdefault(folder, fuser) is fuser
        assert [weights_of(found[folder]) for folder in "ab"] == [network_sha256(network(seed)) for seed in (0, 1)]


def test_a_link_that_is_turned_is_another_model(tmp_path: Path) -> None:
    link = tmp_path / "best.safetensors"
    for seed in (0, 1):
        path = tmp_path / f"{seed}.safetensors"
        save_weights(network(seed), path)
        link.unlink(missing_ok=True)
        link.symlink_to(path)
        assert gifnet.load(link, device="cpu").sha256 == file_sha256(path)


def test_the_models_asked_for_last_are_kept(tmp_path: Path) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(models.KEPT + 4)]
    for index, path in enumerate(paths):
        save_weights(network(index), path)
    first = gifnet.load(paths[0], device="cpu")
    rest = []
    for path in paths[1:]:
        rest.append(weakref.ref(gifnet.load(path, device="cpu")))
        assert gifnet.load(paths[0], device="cpu") is first, "it is in use all the time"
    gc.collect()
    assert [fuser() is not None for fuser in rest] == [False] * 4 + [True] * (models.KEPT - 1)


def test_a_file_written_often_leaves_one_model(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    seen = []
    for seed in range(10):
        save_weights(network(seed % 3), path)
        seen.append(weakref.ref(gifnet.load(path, device="cpu")))
    gc.collect()
    assert [fuser() is not None for fuser in seen] == [False] * 9 + [True]


def test_the_hash_of_a_network_is_that_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    save_weights(network(3), path)
    assert Fuser(network(3), "cpu").sha256 == file_sha256(path) == gifnet.load(path, device="cpu").sha256
    assert gifnet.load(path, device="cpu").to(dtype="bfloat16").sha256 == file_sha256(path)


# Every model= takes a Fuser


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for seed, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(24, 24, 0, seed=seed)).save(tmp_path / name / "1.png")
    return tmp_path


def read(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as image:
        return np.asarray(image)


CALLS: dict[str, Callable[[Path, Any], Any]] = {
    "fuse": lambda root, model: gifnet.fuse(read(root / "a/1.png"), read(root / "b/1.png"), model=model),
    "enhance": lambda root, model: gifnet.enhance(read(root / "a/1.png"), model=model),
    "fuse_files": lambda root, model: read(
        gifnet.fuse_files(root / "a/1.png", root / "b/1.png", root / "out.png", model=model)
    ),
    "enhance_file": lambda root, model: read(gifnet.enhance_file(root / "a/1.png", root / "out.png", model=model)),
    "fuse_folders": lambda root, model: read(
        gifnet.fuse_folders(root / "a", root / "b", root / "out", overwrite=True, progress=False, model=model).done[0]
    ),
    "enhance_folder": lambda root, model: read(
        gifnet.enhance_folder(root / "a", root / "out", overwrite=True, progress=False, model=model).done[0]
    ),
    "pansharpen": lambda root, model: gifnet.pansharpen(
        read(root / "a/1.png")[:12, :12], read(root / "b/1.png"), model=model
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_loaded_model_does_what_its_file_does(folders: Path, call: str) -> None:
    path = folders / "own.safetensors"
    save_weights(network(5), path)
    by_name = CALLS[call](folders, str(path))
    np.testing.assert_array_equal(CALLS[call](folders, gifnet.load(path)), by_name)
    np.testing.assert_array_equal(CALLS[call](folders, Fuser(network(5))), by_name)
    with pytest.raises(InputError, match="model: a GIFNet; give a name, a path or a Fuser"):
        CALLS[call](folders, network(5))
    with pytest.raises(InputError, match="model: a NoneType"):
        CALLS[call](folders, None)


def test_a_folder_run_knows_a_loaded_model_again(folders: Path) -> None:
    path = folders / "own.safetensors"
    save_weights(network(5), path)

    def run(model: Any) -> tuple[int, int]:
        result = gifnet.fuse_folders(folders / "a", folders / "b", folders / "out", progress=False, model=model)
        return len(result.done), len(result.skipped)

    assert [run(path), run(gifnet.load(path)), run(Fuser(network(5)))] == [(1, 0), (0, 1), (0, 1)]
    assert run(Fuser(network(6))) == (1, 0)


# Weights that give no numbers


def test_no_numbers_are_no_image() -> None:
    broken = network(0)
    with torch.no_grad():
        broken.encoder.conv1.bias.fill_(3e38)
    fuser = Fuser(broken, "cpu", name="broken.safetensors")
    x = photo(24, 24)
    for work in (lambda: fuser.fuse(x, x), lambda: fuser.enhance(x), lambda: fuser.fuse(x, x, x)):
        with pytest.raises(InputError, match=r"broken\.safetensors: its weights give no numbers in float32; use other"):
            work()
    with pytest.raises(InputError, match="no numbers in float16; use dtype='float32'"):
        fuser.to(dtype="float16").fuse(x, x)
