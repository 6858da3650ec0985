"""The head that blends the planes and corrects, and the branch that enhances."""

import json
from pathlib import Path

import pytest
import torch
from conftest import random_network
from safetensors.torch import load_file, save_file
from torch import Tensor

from gifnet.checkpoints.format import load_weights, save_weights
from gifnet.execution.plan import Plan
from gifnet.fuser import Fuser
from gifnet.networks.gifnet import Branch, GIFNet, GIFNetConfig
from gifnet.networks.gifnet.config import BRANCHES
from gifnet.networks.gifnet.decoder import blend, finish_plane
from gifnet.networks.gifnet.folded import FoldedGIFNet
from gifnet.networks.gifnet.inference import WHOLE, TiledGIFNet, enhancing_form, inference_form
from gifnet.training.objectives.gifnet import GIFNetRecipe
from gifnet.training.objectives.gifnet.network import reconfigured

TOLERANCE = 1e-5  # the same sums in another order, in float32


def blending(seed: int = 0, **config: object) -> GIFNet:
    return random_network(seed, growth=4, position_hidden=8, head="blend", **config)


def planes(height: int, width: int, seed: int = 0) -> list[Tensor]:
    return list(torch.rand(2, 1, 1, height, width, generator=torch.Generator().manual_seed(seed)))


def distance(x: Tensor, y: Tensor) -> float:
    assert x.shape == y.shape
    return float((x - y).abs().max())


def uncorrected(network: GIFNet) -> GIFNet:
    """With a correction of 0, whatever the choice."""
    last = network.decoder.decode[-1]
    with torch.no_grad():
        last.weight[1] = 0  # type: ignore[operator, index]
        last.bias[1] = 0  # type: ignore[operator, index]
    return network


def test_the_blend_is_a_choice_and_a_correction() -> None:
    a, b = torch.full((1, 1, 2, 2), 0.8), torch.full((1, 1, 2, 2), 0.2)
    both = torch.cat([a, b], dim=1)

    def of(choice: float, correction: float) -> float:
        values = torch.tensor([choice, correction])[None, :, None, None].expand(1, 2, 2, 2)
        assert torch.equal(finish_plane("blend", values, both), blend(values, both))
        return float(blend(values, both).mean())

    assert of(0, 0) == pytest.approx(0.5)
    assert of(50, 0) == pytest.approx(0.8)
    assert of(-50, 0) == pytest.approx(0.2)
    assert of(1, 0) == pytest.approx(0.2 + 0.6 / (1 + torch.e**-1))
    assert of(0, 0.3) == pytest.approx(0.5 + float(torch.tensor(0.3).tanh()) / 2)


@torch.inference_mode()
def test_a_new_one_gives_the_mean_and_the_head_matters() -> None:
    torch.manual_seed(0)
    network = GIFNet(GIFNetConfig(growth=4, position_hidden=8, head="blend")).eval()
    a, b = planes(20, 30)
    assert distance(network(a, b), (a + b) / 2) < 1e-6
    changed = blending()
    assert distance(changed(a, b), (a + b) / 2) > 0.01, "the others here are no means"


@pytest.mark.parametrize("main", BRANCHES)
@torch.inference_mode()
def test_folded_form_equals_plain_at_every_side_from_1_to_20(main: Branch) -> None:
    plain = blending(1)
    folded = TiledGIFNet(FoldedGIFNet(plain, main), chunk=WHOLE)
    for height in range(1, 21):
        for width in {1, 21 - height}:
            a, b = planes(height, width, height)
            assert distance(folded(a, b), plain(a, b, main)) <= TOLERANCE, (height, width)


@pytest.mark.parametrize("main", BRANCHES)
@torch.inference_mode()
def test_tiles_equal_one_piece(main: Branch) -> None:
    plain = blending(2, main=main)
    a, b = planes(101, 83)
    whole = plain(a, b)
    for keep in ((), ("mixed",), ("shared", "embedded", "mixed")):
        assert distance(inference_form(plain)(a, b, Plan(64, keep, 0)), whole) <= TOLERANCE, keep


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_what_both_planes_agree_on_passes_where_nothing_is_corrected(dtype: str) -> None:
    fuser = Fuser(uncorrected(blending(3)), "cpu", dtype)
    (x, _) = planes(37, 50)
    # The planes themselves never pass through the coarse dtype: half a level of 255 would be seen, and is far off.
    assert distance(fuser.fuse(x, x), x) < 0.5 / 255
    assert distance(fuser.fuse(x, x), x) < 1e-6
    levels = (x * 255).round().to(torch.uint8)
    assert torch.equal(fuser.fuse(levels, levels), levels)


@torch.inference_mode()
def test_the_result_is_cut_to_the_scale() -> None:
    network = blending(4)
    with torch.no_grad():
        network.decoder.decode[-1].bias[1] = 3.0  # type: ignore[operator, index]
    a, b = planes(20, 20)
    for fused in (network(a, b), inference_form(network)(a, b)):
        assert float(fused.max()) == 1
        assert float(fused.min()) >= 0


def test_another_head_keeps_every_other_tensor() -> None:
    torch.manual_seed(0)
    before = random_network(5, growth=4, position_hidden=8)
    state = {name: value.clone() for name, value in before.state_dict().items()}
    after = reconfigured(before, GIFNetRecipe(head="blend", enhance_main="mm"))
    assert after.config == GIFNetConfig(growth=4, position_hidden=8, head="blend", enhance_main="mm")
    own = after.state_dict()
    assert own.keys() == state.keys()
    changed = {name for name, value in own.items() if not torch.equal(value, state[name])}
    assert changed == {"decoder.decode.6.weight", "decoder.decode.6.bias"}
    assert own["decoder.decode.6.weight"].shape[0] == 2
    again = reconfigured(after, GIFNetRecipe())
    assert again is after
    assert again.config.head == "blend", "kept"


@torch.inference_mode()
def test_one_image_is_enhanced_by_its_own_branch() -> None:
    plain = blending(6, main="dp", enhance_main="mm")
    x, y = planes(30, 40)
    fuser = Fuser(plain, "cpu")
    assert distance(fuser.enhance(x), plain(x, x, "mm")) <= TOLERANCE
    assert distance(fuser.enhance(x), plain(x, x, "dp")) > 1e-3
    assert distance(fuser.fuse(x, y), plain(x, y, "dp")) <= TOLERANCE
    assert enhancing_form(blending(6, main="dp", enhance_main="dp")) is None
    assert enhancing_form(blending(6)) is None


def test_weights_of_before_the_fields_existed_are_the_paper_s(tmp_path: Path) -> None:
    network = random_network(7, growth=4, position_hidden=8)
    path, old = tmp_path / "new.safetensors", tmp_path / "old.safetensors"
    save_weights(network, path)
    description = {"format_version": 1, "architecture": "gifnet", "growth": 4, "heads": 2, "window": 8, "mlp_ratio": 2}
    description |= {"position_hidden": 8, "main": "dp"}
    save_file(load_file(path), old, {"gifnet": json.dumps(description)})
    loaded = load_weights(old)
    assert isinstance(loaded, GIFNet)
    assert (loaded.config.head, loaded.config.enhance_main) == ("plane", None)
    a, b = planes(20, 20)
    with torch.inference_mode():
        assert torch.equal(loaded(a, b), network(a, b))


def test_weights_with_the_new_fields_come_back(tmp_path: Path) -> None:
    network = blending(8, enhance_main="mm")
    save_weights(network, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors")
    assert isinstance(loaded, GIFNet)
    assert loaded.config == network.config
    for field, message in (("head", "must be one of"), ("enhance_main", "must be None or one of")):
        with pytest.raises(ValueError, match=message):
            GIFNetConfig(**{field: "xx"})  # type: ignore[arg-type]
