"""The paper's φ: DenseNet-121's features, its five stages, and where its weights come from."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from gifnet.errors import CheckpointError
from gifnet.training.densenet import DenseNetPhi, densenet121_features, load_densenet_phi
from gifnet.training.losses import LossConfig, detail_energy, multi_modal_loss

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def state() -> State:
    """Random weights by torchvision's names, with statistics that matter."""
    torch.manual_seed(0)
    features = densenet121_features()
    found = {f"features.{name}": value.clone() for name, value in features.state_dict().items()}
    for name, value in found.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.1)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 1.5)
    return {**found, "classifier.weight": torch.zeros(2, 1024), "classifier.bias": torch.zeros(2)}


@pytest.fixture(scope="module")
def weights(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("densenet") / "densenet121.safetensors"
    save_file(state, path)
    return path


def planes(size: int, count: int = 2) -> Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def expected_stages(state: State, x: Tensor) -> list[Tensor]:
    """DenseNet-121 written out from its paper's table, on a state dict."""

    def norm_relu(x: Tensor, name: str) -> Tensor:
        w, b, mean, variance = (
            state[f"features.{name}.{part}"][:, None, None]
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        return ((x - mean) / (variance + 1e-5).sqrt() * w + b).clamp(min=0)

    x = F.conv2d(x, state["features.conv0.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm_relu(x, "norm0"), 3, 2, padding=1)
    stages = [x]
    for block, depth in ((1, 6), (2, 12), (3, 24), (4, 16)):
        for layer in range(1, depth + 1):
            name = f"denseblock{block}.denselayer{layer}"
            y = F.conv2d(norm_relu(x, f"{name}.norm1"), state[f"features.{name}.conv1.weight"])
            y = F.conv2d(norm_relu(y, f"{name}.norm2"), state[f"features.{name}.conv2.weight"], padding=1)
            x = torch.cat([x, y], dim=1)
        if block < 4:
            name = f"transition{block}"
            x = F.conv2d(norm_relu(x, f"{name}.norm"), state[f"features.{name}.conv.weight"])
            x = F.avg_pool2d(x, 2)
        stages.append(x)
    return stages


def test_size_and_shapes() -> None:
    features = densenet121_features()
    assert sum(parameter.numel() for parameter in features.parameters()) == 6_953_856
    assert [name for name, _ in features.named_children()] == [
        "conv0", "norm0", "relu0", "pool0", "denseblock1", "transition1", "denseblock2", "transition2", "denseblock3",
        "transition3", "denseblock4", "norm5",
    ]  # fmt: skip
    x, shapes = planes(64).expand(-1, 3, -1, -1), []
    for stage in DenseNetPhi(features).stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (1024, 2, 2)]


def test_phi_is_the_paper_s(state: State, weights: Path) -> None:
    plane = planes(64)
    rgb = torch.cat([(plane - m) / d for m, d in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))], dim=1)
    energies = []
    for stage in expected_stages(state, rgb):
        padded = F.pad(stage, (1, 1, 1, 1), mode="replicate")
        # The mean of the eight neighbours less the middle: the sum of nine less nine times the middle, over eight.
        response = (F.avg_pool2d(padded, 3, stride=1) * 9 - 9 * stage) / 8
        energies.append(response.square().mean(dim=(1, 2, 3)))
    phi = load_densenet_phi(weights)
    torch.testing.assert_close(phi(plane), sum(energies) / 5, rtol=1e-4, atol=1e-7)
    assert not any(parameter.requires_grad for parameter in phi.parameters())
    assert torch.isfinite(phi(planes(48))).all()
    assert torch.equal(phi(plane), phi.train(False)(plane)), "statistics are those of the weights, not of the batch"


def test_phi_of_flat_features_is_zero() -> None:
    features = densenet121_features()
    for parameter in features.parameters():
        torch.nn.init.zeros_(parameter)
    assert float(DenseNetPhi(features)(planes(48)).abs().max()) == 0


def test_phi_decides_the_loss_s_weights(weights: Path) -> None:
    a, b = planes(48, 1), planes(48, 1) / 3 + 0.2
    fused, config = (a + b) / 2 + 0.1, LossConfig()
    errors = [float((fused - source).square().mean()) for source in (a, b)]
    for phi in (detail_energy, load_densenet_phi(weights)):
        shares = torch.stack([phi(a), phi(b)]).softmax(dim=0)[:, 0].tolist()
        expected = shares[0] * errors[0] + shares[1] * errors[1]
        assert float(multi_modal_loss(fused, a, b, config, phi)) == pytest.approx(expected, rel=1e-5)
    default = multi_modal_loss(fused, a, b, config)
    assert torch.equal(default, multi_modal_loss(fused, a, b, config, detail_energy))
    assert not torch.equal(default, multi_modal_loss(fused, a, b, config, load_densenet_phi(weights)))


def test_old_names_and_no_prefix(state: State, weights: Path, tmp_path: Path) -> None:
    """``norm.1`` for ``norm1`` in dense layers, as in torchvision's first files; no counters, as before torch 0.4."""
    old = {}
    for name, value in state.items():
        for part in ("norm", "conv"):
            for number in "12":
                if ".denselayer" in name:
                    name = name.replace(f".{part}{number}.", f".{part}.{number}.")
        if not name.endswith("num_batches_tracked"):
            old[name.removeprefix("features.")] = value
    assert "denseblock1.denselayer1.norm.1.weight" in old
    save_file(old, tmp_path / "old.safetensors")
    assert torch.equal(
        load_densenet_phi(tmp_path / "old.safetensors")(planes(48)), load_densenet_phi(weights)(planes(48))
    )


def test_weights_that_are_none(state: State, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointError, match=r"x\.safetensors: no(t a readable| such file)"):
        load_densenet_phi(path)
    path.write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"x\.safetensors: not a readable"):
        load_densenet_phi(path)
    save_file({name: value for name, value in state.items() if "denseblock4" not in name}, path)
    with pytest.raises(CheckpointError, match=r"denseblock4.* is missing"):
        load_densenet_phi(path)
    save_file({**state, "features.norm6.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"norm6\.weight is unknown"):
        load_densenet_phi(path)
    save_file({**state, "features.norm5.weight": torch.zeros(7)}, path)
    with pytest.raises(CheckpointError, match=r"norm5\.weight"):
        load_densenet_phi(path)


def test_a_pickle_is_refused_with_the_way_to_convert_it(state: State, tmp_path: Path) -> None:
    path = tmp_path / "densenet121-a639ec97.pth"
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"weights_only=True") as refused:
        load_densenet_phi(path)
    code = str(refused.value).split('python -c "')[1].rstrip('"')
    exec(code, {})
    load_densenet_phi(path.with_suffix(".safetensors"))
