"""TITA's plain form against the reference values, its inference form against the plain one."""

import logging
from pathlib import Path

import pytest
import torch
from conftest import shared_file
from safetensors.torch import load_file, save_file
from torch import Tensor

import gifnet
from gifnet.checkpoints.format import load_weights, save_weights
from gifnet.checkpoints.official import convert_official
from gifnet.cli import main
from gifnet.errors import CheckpointError, InputError
from gifnet.execution.plan import Plan
from gifnet.execution.threads import Threads
from gifnet.fuser import Fuser
from gifnet.networks import registered
from gifnet.networks.tita import TITA, TITAConfig
from gifnet.networks.tita.attention import Grid, attend
from gifnet.networks.tita.folded import FoldedCrossBlock, Shape
from gifnet.networks.tita.inference import grouped_windows, inference_form
from gifnet.networks.tita.interaction import CrossBlock
from gifnet.networks.tita.learning import LearningTITA
from gifnet.networks.tita.official import _renamed_modules, _renamed_parameters
from gifnet.networks.tita.plan import covering, make_plan
from gifnet.networks.tita.swin import shift_mask
from gifnet.regions import Region

# Values are of order 1 and pass through 16 blocks in float32, 6e-8 relative each; 3e-6 is the most that is seen.
TOLERANCE = 1e-5
SMALL = TITAConfig(channels=12, heads=3, window=4, depth=2, groups=2)
REFERENCE = "reference/tita"


def random_tita(config: TITAConfig = SMALL, seed: int = 0) -> TITA:
    """With weights spread enough that every part matters to the output."""
    torch.manual_seed(seed)
    model = TITA(config).eval().requires_grad_(False)
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@pytest.fixture(scope="module")
def small() -> TITA:
    return random_tita()


@pytest.fixture(scope="module")
def converted() -> TITA:
    network = convert_official(shared_file(f"{REFERENCE}/weights_random.safetensors"))
    assert isinstance(network, TITA)
    return network.requires_grad_(False)


def planes(height: int, width: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    a, b = torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(seed))
    return a, b


def close(x: Tensor, y: Tensor, tolerance: float = TOLERANCE) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=tolerance)


def test_reference_stage_by_stage(converted: TITA) -> None:
    d = load_file(shared_file(f"{REFERENCE}/64x64.safetensors"))
    for features, name in zip(converted.extraction(d["a"], d["b"], converted.norm), "ab", strict=True):
        close(features.permute(0, 3, 1, 2), d[f"extracted_{name}"])
    operated = converted.oaf(*converted.interact(d["a"], d["b"]))
    close(operated.permute(0, 3, 1, 2), d["operated"])


@pytest.mark.parametrize("size", ["64x64", "70x85", pytest.param("128x128", marks=pytest.mark.slow)])
def test_reference_fused(converted: TITA, size: str) -> None:
    d = load_file(shared_file(f"{REFERENCE}/{size}.safetensors"))
    close(converted.predict(d["a"], d["b"]), d["fused"])


def test_the_infrared_comes_first(converted: TITA, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    d = load_file(shared_file(f"{REFERENCE}/70x85.safetensors"))
    save_weights(converted, tmp_path / "tita.safetensors")
    fuser = gifnet.load(tmp_path / "tita.safetensors", device="cpu")
    assert "nothing but black and white" in caplog.text, "what random weights give is said, and given"
    fused = fuser.fuse(d["b"], d["a"])
    close(fused, d["fused"].clamp(0, 1))
    close(fuser.fuse(d["b"], d["a"], tile=64), fused)
    a, b = (d[name][..., :24, :32] for name in "ab")
    fused = fuser.fuse(b, a)
    assert float((fuser.fuse(a, b) - fused).abs().max()) > 0.01
    half = fuser.to(dtype="bfloat16").fuse(b, a)
    assert 0 < float((half - fused).abs().max()) < 0.05  # random weights spread errors as far as values: over 1


def authors(model: TITA) -> dict[str, Tensor]:
    """A state dict named and shaped as the authors' is, with the model's values."""
    own = model.state_dict()
    state = {
        name: torch.cat([own[part] for part in parts]) for name, parts in _renamed_parameters(model.config).items()
    }
    for ours, theirs in _renamed_modules(model.config).items():
        state |= {f"{theirs}.{kind}": own[f"{ours}.{kind}"].clone() for kind in ("weight", "bias")}
    return state


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_conversion(tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture) -> None:
    model = random_tita(TITAConfig())
    state = authors(model)
    unused = {f"conv_first{i}_B.{kind}": torch.zeros(3) for i in (1, 2) for kind in ("weight", "bias")}
    path, out = tmp_path / f"theirs{suffix}", tmp_path / "ours.safetensors"
    content = {**state, **unused}
    save_file(content, path) if suffix == ".safetensors" else torch.save(content, path)
    with caplog.at_level(logging.WARNING, "gifnet"):
        assert main(["convert", str(path), str(out)]) == 0
    assert "dropped conv_first1_B.bias, conv_first1_B.weight, conv_first2_B.bias" in caplog.text
    loaded = load_weights(out)
    assert isinstance(loaded, TITA)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


def test_what_is_not_the_authors_checkpoint(tmp_path: Path) -> None:
    state = authors(random_tita(TITAConfig()))
    with pytest.raises(CheckpointError, match="unknown entries more"):
        _refuse(tmp_path, {**state, "more": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"not the authors' checkpoint of TITA: it has no 'norm_Re\.bias'"):
        _refuse(tmp_path, {name: value for name, value in state.items() if name != "norm_Re.bias"})
    with pytest.raises(CheckpointError, match=r"norm_Re\.bias is torch\.float32 \(3,\); the authors' is .*\(60,\)"):
        _refuse(tmp_path, {**state, "norm_Re.bias": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"norm_Re\.bias has values that are not finite"):
        _refuse(tmp_path, {**state, "norm_Re.bias": torch.full((60,), torch.nan)})
    with pytest.raises(CheckpointError, match=r"give one of: .* of GIFNet.*; the authors' checkpoint of TITA"):
        _refuse(tmp_path, {"something.else": torch.zeros(1)})


def _refuse(folder: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, folder / "wrong.pth")
    convert_official(folder / "wrong.pth")


SIZES = [(1, 1), (1, 9), (2, 3), (4, 4), (5, 8), (7, 13), (17, 11), (23, 40)]


@pytest.mark.parametrize("size", SIZES)
def test_inference_form_of_every_size(small: TITA, size: tuple[int, int]) -> None:
    close(inference_form(small)(*planes(*size)), small(*planes(*size)))


@pytest.mark.parametrize("tile", [16, 24])
@pytest.mark.parametrize("keep", [(), ("interacted",)])
@pytest.mark.parametrize("size", [(3, 60), (50, 47), pytest.param((64, 33), marks=pytest.mark.slow)])
def test_tiles_are_the_whole(small: TITA, size: tuple[int, int], tile: int, keep: tuple[str, ...]) -> None:
    a, b = planes(*size)
    whole = small.predict(a, b)
    assert float(whole.std()) > 0.01
    close(inference_form(small)(a, b, Plan(tile, keep, 0)), whole.clamp(0, 1))


@pytest.mark.slow
def test_tiles_of_the_paper_s_network(tmp_path: Path) -> None:
    model = random_tita(TITAConfig())
    a, b = planes(70, 101)
    whole = model(a, b)
    fuser = Fuser(model, "cpu")
    close(fuser.fuse(b, a, tile=64), whole)
    close(fuser.fuse(b, a, tile=None), whole)


def test_batches_are_fused_one_by_one(small: TITA) -> None:
    a, b = torch.rand(2, 3, 1, 9, 14, generator=torch.Generator().manual_seed(0))
    close(inference_form(small)(a, b), small(a, b))


def test_one_cross_block(small: TITA) -> None:
    block = small.interaction.blocks[0]
    assert isinstance(block, CrossBlock)
    x, y = torch.randn(2, 1, 4, 4, 12, generator=torch.Generator().manual_seed(0))
    expected = block(x, y)
    folded = FoldedCrossBlock(block)(Shape(4, 4), x.reshape(16, 12).clone(), y.reshape(16, 12).clone())
    for ours, plain in zip(folded, expected, strict=True):
        close(ours, plain.reshape(16, 12))


def test_the_parameters_are_the_paper_s() -> None:
    model = TITA()
    assert sum(parameter.numel() for parameter in model.parameters()) == 1_378_435
    weights = model.operation_weights(*planes(16, 16)).detach()
    assert weights.shape == (1, 6)
    close(weights.sum(), torch.tensor(1.0))


def test_windows_cover_a_region_once() -> None:
    image = Region(0, 48, 0, 64)
    for shift in (0, 4):
        for target in (image, Region(8, 24, 0, 16), Region(13, 15, 30, 64)):
            region = covering(target, image, 8, shift)
            seen = torch.zeros(48, 64)
            for part, shape in grouped_windows(region, image, 8, shift, 3):
                assert not (part.bottom - part.top) % shape.height
                assert not (part.right - part.left) % shape.width
                seen[part.top : part.bottom, part.left : part.right] += 1
            expected = torch.zeros(48, 64)
            expected[region.top : region.bottom, region.left : region.right] = 1
            assert torch.equal(seen, expected)
            assert region.top <= target.top
            assert region.right >= target.right


def test_plans() -> None:
    blocks = (4, 8, 4)

    def plan(budget: float, tile: int | str | None = "auto") -> Plan:
        return make_plan(4000, 6000, 240, blocks, 8, int(budget), tile)

    assert plan(20e9).keep == ("interacted",)
    assert plan(4e9).keep == ()
    assert plan(4e9).tile == 512
    assert (plan(4e9, 100).tile, plan(4e9, None).tile) == (96, None)
    with pytest.raises(InputError, match="6000×4000 pixels take"):
        plan(100e6)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": 10, "heads": 5}, "multiple of 4"),
        ({"heads": 7}, "do not divide"),
        ({"window": 7}, "even"),
        ({"depth": 0}, "positive integer"),
    ],
)
def test_configurations_that_make_no_network(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TITAConfig(**wrong)


def test_the_form_for_training_has_the_plain_form_s_gradients() -> None:
    """Of every parameter, in float32: sums of some hundred products, 6e-8 relative each."""
    model = random_tita().requires_grad_(True)
    a, b = torch.rand(2, 2, 1, 10, 13, generator=torch.Generator().manual_seed(1))
    weights = torch.linspace(-1, 1, 260).view(2, 1, 10, 13)
    gradients = []
    for planes in (model.predict(a, b), LearningTITA(model, torch.float32).predict(a, b)):
        # What softmaxes take away, such as a bias of all keys, the folded form does without: None, not noise.
        found = torch.autograd.grad((planes * weights).sum(), list(model.parameters()), allow_unused=True)
        gradients.append((planes.detach(), found))
    (plain, expected), (learning, found) = gradients
    close(learning, plain)
    for (name, parameter), one, other in zip(model.named_parameters(), found, expected, strict=True):
        assert other is not None
        if one is None:
            assert name.endswith("key.bias")
            one = torch.zeros_like(parameter)
        assert float((one - other).norm()) <= 2e-5 * float(other.norm()) + 1e-4, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_learning_is_the_same_with_however_many_threads(dtype: torch.dtype) -> None:
    """Bit for bit, the planes and all gradients: a run goes on from its state on another machine."""
    model = random_tita().requires_grad_(True)
    a, b = torch.rand(2, 3, 1, 10, 13, generator=torch.Generator().manual_seed(1))
    weights = torch.linspace(-1, 1, 390).view(3, 1, 10, 13)
    results = []
    for count in (0, 1, 2):
        with Threads(count, "test", one_core=False) as threads:
            learning = LearningTITA(model, dtype, threads if count else None)
            planes = learning.predict(a, b)
            found = torch.autograd.grad((planes * weights).sum(), list(model.parameters()), allow_unused=True)
            with torch.no_grad():
                unrecorded = learning.predict(a, b)
        assert not unrecorded.requires_grad
        results.append([planes.detach(), unrecorded, *(each for each in found if each is not None)])
    for other in results[1:]:
        for one, another in zip(results[0], other, strict=True):
            torch.testing.assert_close(one, another, rtol=0, atol=0)


@pytest.mark.parametrize(("size", "grid"), [(1.0, Grid(2, 2, 4)), (40.0, Grid(2, 2, 4)), (1000.0, None)])
def test_attention_is_a_softmax_s(size: float, grid: Grid | None) -> None:
    """Also of logits whose exponentials are more than float32 can hold, with its gradients."""
    generator = torch.Generator().manual_seed(0)
    query, key, value = torch.randn(3, 4, 16, 2, 5, generator=generator)
    bias = size * torch.randn(2, 16, 16, generator=generator)
    results = []
    for function in (attend, softmax_attention):
        inputs = [each.clone().requires_grad_() for each in (query, key, value, bias)]
        result = function(*inputs, grid)
        results.append((result, *torch.autograd.grad((result * torch.arange(10.0)).sum(), inputs)))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-4 * max(1.0, float(other.abs().max())))


def softmax_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, grid: Grid | None) -> Tensor:
    logits = torch.einsum("wihd,wjhd->whij", query, key) + bias
    if grid:
        # Of logits in the hundreds, -100 would not set pixels apart.
        logits = (
            logits + 1e6 * shift_mask(grid.rows * grid.window, grid.columns * grid.window, grid.window, bias)[:, None]
        )
    return torch.einsum("whij,wjhd->wihd", logits.softmax(dim=-1), value).reshape(-1, 10)


def test_its_name_says_that_there_are_no_weights_yet() -> None:
    if registered()["tita"].weights is not None:
        pytest.skip("there are")
    with pytest.raises(CheckpointError, match=r"tita: gifnet knows this network, .* no weights"):
        gifnet.load("tita")
