"""Adding a network: a toy one is registered, and everything else takes it."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, photo
from PIL import Image
from torch import Tensor, nn

import gifnet
from gifnet.checkpoints.format import describe, load_weights, save_weights
from gifnet.checkpoints.hub import load_model
from gifnet.checkpoints.official import convert_official
from gifnet.cli import main
from gifnet.errors import CheckpointError, InputError
from gifnet.execution.local import LocalForm
from gifnet.fuser import Fuser
from gifnet.networks import Architecture, Converter, register, registered, unregister
from gifnet.networks.gifnet import GIFNet
from gifnet.networks.registry import inference_form

# The toy network: the mean of both planes, with one parameter.


@dataclass(frozen=True)
class ToyConfig:
    """What it is made of."""

    share: float = 0.5


class Toy(nn.Module):
    """The weighted mean of both planes; the share of ``a`` is learned."""

    def __init__(self, config: ToyConfig) -> None:
        super().__init__()
        self.config = config
        self.share = nn.Parameter(torch.tensor(config.share))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return torch.lerp(b, a, self.share.to(a.dtype))


TOY = Architecture("toy", ToyConfig, Toy, lambda network, dtype: LocalForm(network, dtype, halo=0, values=3))

# What it gets for that.

SHARE = 0.271828  # no mean of two levels ends in a half, which could be rounded either way


@pytest.fixture
def toy() -> Iterator[Architecture]:
    """Registered while the test runs."""
    yield register(TOY)
    unregister("toy")
    assert "toy" not in registered()


@pytest.fixture
def weights(toy: Architecture, tmp_path: Path) -> Path:
    network = Toy(ToyConfig())
    with torch.no_grad():
        network.share.fill_(SHARE)
    path = tmp_path / "toy.safetensors"
    save_weights(network, path, {"source": "a test"})
    return path


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two grey images in folders of their own."""
    paths = (tmp_path / "a" / "1.png", tmp_path / "b" / "1.png")
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        Image.fromarray(photo(150, 201, 0, seed=seed)).save(path)
    return paths


def pixels(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))


def expected(first: Path, second: Path, share: float = SHARE) -> np.ndarray:
    mean = share * pixels(first).astype(float) + (1 - share) * pixels(second).astype(float)
    return np.rint(mean).astype(np.uint8)


def test_weights_are_saved_and_loaded(weights: Path) -> None:
    network, found = load_model(weights)
    assert isinstance(network, Toy)
    assert float(network.share.detach()) == pytest.approx(SHARE)
    assert describe(network) == {"format_version": 1, "architecture": "toy", **asdict(ToyConfig())}
    assert gifnet.load(weights, device="cpu").name == found.label == str(weights)


def test_functions_and_tiles(weights: Path, pair: tuple[Path, Path]) -> None:
    fuser = gifnet.load(weights, device="cpu")
    a, b = map(pixels, pair)
    whole = fuser.fuse(a, b)
    np.testing.assert_array_equal(whole, expected(*pair))
    for tile in (64, 100, None):
        np.testing.assert_array_equal(fuser.fuse(a, b, tile=tile), whole)
    np.testing.assert_array_equal(gifnet.fuse(a, b, model=weights, device="cpu"), whole)
    np.testing.assert_array_equal(gifnet.enhance(a, model=weights, device="cpu"), a)
    stack = fuser.fuse(np.stack([a, a, a], axis=-1), b)
    assert stack.shape == (150, 201, 3)
    with pytest.raises(InputError, match="memory: the images themselves take 362 KB"):
        fuser.fuse(a, b, memory="70KB")
    with pytest.raises(InputError, match="memory: 201×150 pixels take"):
        fuser.fuse(a, b, memory="370KB")


def test_command_line(
    weights: Path, pair: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--model", str(weights), "--device", "cpu"]
    folders = [str(path.parent) for path in pair]
    assert main(["fuse", *map(str, pair), "-o", str(tmp_path / "one.png"), *options]) == 0
    np.testing.assert_array_equal(pixels(tmp_path / "one.png"), expected(*pair))
    assert main(["fuse", *folders, "-o", str(tmp_path / "out"), *options]) == 0
    np.testing.assert_array_equal(pixels(tmp_path / "out" / "1.png"), expected(*pair))
    table = tmp_path / "table.json"
    arguments = [
        "eval",
        *folders,
        *options[2:],
        "--model",
        str(weights),
        "--metrics",
        "SD",
        "--json",
        str(table),
        "--quiet",
    ]
    assert main(arguments) == 0
    assert json.loads(table.read_text("utf-8"))
    assert main(["info", *options]) == 0
    assert "toy" in capsys.readouterr().out


def test_half_precision_and_a_halo() -> None:
    class Blur(Toy):
        """Looks 4 pixels far."""

        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(super().forward(a, b), 9, 1, 4, count_include_pad=False)

    register(replace(TOY, network=Blur, inference_form=lambda network, dtype: LocalForm(network, dtype, 4, 5, grid=8)))
    try:
        a, b = (torch.from_numpy(photo(150, 201, 0, seed=seed).copy())[None] for seed in (0, 1))
        network = Blur(ToyConfig())
        whole = Fuser(network, "cpu").fuse(a, b, tile=None)
        assert torch.equal(Fuser(network, "cpu").fuse(a, b, tile=70), whole)
        half = Fuser(network, "cpu", "bfloat16").fuse(a, b)
        assert 0 < int((half.int() - whole.int()).abs().max()) <= 2  # a level is 1/255, bfloat16 has 8 bits
        assert network.share.dtype == torch.float32, "the network itself is left alone"
    finally:
        unregister("toy")


def test_the_infrared_comes_first_whatever_the_network_wants(toy: Architecture) -> None:
    a, b = (torch.from_numpy(photo(70, 90, 0, seed=seed).copy())[None] for seed in (0, 1))
    network = Toy(ToyConfig(share=1.0))  # its own first plane
    assert torch.equal(Fuser(network, "cpu").fuse(a, b), a)
    unregister("toy")
    register(replace(TOY, first="visible"))
    assert torch.equal(Fuser(network, "cpu").fuse(a, b), b)
    assert torch.equal(Fuser(network, "cpu").fuse(a, b, tile=64), b)
    assert torch.equal(Fuser(network, "cpu").to(dtype="bfloat16").enhance(a[:, :1]), a[:, :1])


def test_bundled_weights_go_by_the_network_s_name(weights: Path, toy: Architecture) -> None:
    unregister("toy")
    register(replace(TOY, weights=str(weights)))
    assert isinstance(load_model("toy")[0], Toy)
    assert load_model("toy")[1].label == "toy"


def test_the_documentation_s_example(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "networks.md").read_text("utf-8")
    names: dict[str, object] = {"__name__": "example"}
    exec(text.split("```python\n")[1].split("```")[0], names)
    try:
        found = registered()["toy"]
        save_weights(found.network(found.config(share=1.0)), tmp_path / "w.safetensors")
        a, b = photo(20, 30, 0, seed=0), photo(20, 30, 0, seed=1)
        np.testing.assert_array_equal(gifnet.fuse(a, b, model=tmp_path / "w.safetensors", device="cpu"), a)
    finally:
        unregister("toy")


def test_unknown_and_taken_names(weights: Path, toy: Architecture) -> None:
    for again in (TOY, replace(TOY, name="other"), replace(TOY, network=GIFNet)):
        with pytest.raises(ValueError, match="is registered already"):
            register(again)
    unregister("toy")
    with pytest.raises(CheckpointError, match=r"toy\.safetensors: architecture 'toy'; this gifnet knows 'gifnet'"):
        load_weights(weights)
    with pytest.raises(TypeError, match="Toy is no registered network"):
        Fuser(Toy(ToyConfig()), "cpu")
    with pytest.raises(TypeError, match=r"plain form \(GIFNet, TITA.*\), not from a Toy"):
        describe(Toy(ToyConfig()))
    register(TOY)


def test_a_subclass_is_run_but_not_saved(toy: Architecture) -> None:
    class Other(Toy):
        """Its weights would be read as a Toy's."""

    network = Other(ToyConfig())
    assert isinstance(inference_form(network, torch.float32), LocalForm)
    with pytest.raises(TypeError, match="not from a Other"):
        describe(network)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_its_authors_checkpoint_is_converted(toy: Architecture, tmp_path: Path, suffix: str) -> None:
    from safetensors.torch import save_file

    def convert(state: object, file: str) -> Toy:
        assert isinstance(state, dict)
        return Toy(ToyConfig(share=float(state["the.share"])))

    unregister("toy")
    register(replace(TOY, converter=Converter("a toy's with the.share", lambda state: "the.share" in state, convert)))
    path, out = tmp_path / f"theirs{suffix}", tmp_path / "ours.safetensors"
    for name in ("the.share", "a.share"):
        state = {name: torch.tensor(0.75)}
        save_file(state, path) if suffix == ".safetensors" else torch.save(state, path)
        if name == "a.share":
            with pytest.raises(CheckpointError, match=rf"theirs\{suffix}: .* of GIFNet.*; a toy's with the\.share"):
                convert_official(path)
        else:
            assert main(["convert", str(path), str(out)]) == 0
            assert load_weights(out).config == ToyConfig(0.75)  # type: ignore[comparison-overlap]
