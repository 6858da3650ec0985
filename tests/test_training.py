"""Training: what each step may move, what the data is made of, and that a resumed run is the unbroken one."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image

from gifnet import InputError
from gifnet.checkpoint import load_weights
from gifnet.errors import CheckpointError
from gifnet.network import GIFNet, GIFNetConfig
from gifnet.training.data import DataConfig, TrainingData
from gifnet.training.defocus import DefocusConfig, gaussian_blur, random_defocus, random_region
from gifnet.training.degradation import DegradationConfig, degrade, jpeg
from gifnet.training.losses import (
    LossConfig,
    detail_energy,
    detail_loss,
    multi_modal_loss,
    photography_loss,
    public_loss,
)
from gifnet.training.recipe import Recipe, read_recipe
from gifnet.training.steps import Planes, multi_modal_step, photography_step
from gifnet.training.trainer import Trainer

SMALL = GIFNetConfig(growth=4, position_hidden=8)
CROP = 48


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three infrared-visible pairs and two photographs."""
    root = tmp_path_factory.mktemp("training")
    for name, channels, count in (("ir", 0, 3), ("vis", 3, 3), ("photos", 3, 2)):
        (root / name).mkdir()
        for i in range(count):
            suffix = "jpg" if name == "vis" else "png"
            Image.fromarray(photo(70, 90, channels, seed=seed_of(name, i))).save(root / name / f"{i}.{suffix}")
    return root


def seed_of(name: str, i: int) -> int:
    return sum(name.encode()) + i


def trainer(folders: Path, run: Path, **options: object) -> Trainer:
    run.mkdir(exist_ok=True)
    config = Recipe(iterations=6, warmup=2, data=DataConfig(crop=CROP, batch=2), **options)  # type: ignore[arg-type]
    data = TrainingData(folders / "ir", folders / "vis", folders / "photos", config.data, config.seed)
    torch.manual_seed(0)
    return Trainer(GIFNet(SMALL), data, config, run, torch.device("cpu"))


def planes(count: int, seed: int = 0) -> list[torch.Tensor]:
    return list(torch.rand(count, 2, 1, CROP, CROP, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("main", ["mm", "dp"])
def test_a_step_moves_its_own_branch_and_the_shared_parts_only(main: str) -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    if main == "mm":
        losses = multi_modal_step(model, Planes(*planes(5)), torch.tensor([False, False]), LossConfig())
    else:
        losses = photography_step(model, Planes(*planes(5)), LossConfig())
    losses.total.backward()
    gradients = {name for name, value in model.named_parameters() if value.grad is not None}
    optimiser.step()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    other = "dp" if main == "mm" else "mm"
    frozen = {name for name in before if f".{other}." in name or name.endswith(f".mix.{other}")}
    assert len(frozen) > 20
    assert not gradients & frozen
    assert not moved & frozen
    assert gradients == before.keys() - frozen
    # Two biases may have a gradient of exactly zero (softmax ignores what all keys share), everything else moves.
    assert {name for name in gradients - moved if not name.endswith("bias")} == set()


def test_the_auxiliary_pair_matters_and_gets_no_gradient() -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL).train()
    images = Planes(*planes(5))
    images.near.requires_grad_()
    images.infrared.requires_grad_()
    losses = photography_step(model, images, LossConfig())
    losses.total.backward()
    assert images.near.grad is not None
    assert images.near.grad.abs().sum() > 0
    assert images.infrared.grad is None
    other = photography_step(model, images._replace(infrared=1 - images.infrared), LossConfig())
    assert other.fusion.item() != losses.fusion.item()


def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(folders: Path, tmp_path: Path) -> None:
    whole = trainer(folders, tmp_path / "whole")
    whole.run(progress=False)
    first = trainer(folders, tmp_path / "halves")
    for batch in first.data.batches(0, 3):
        first.curves.append(first.step(batch))
    first.save()
    second = trainer(folders, tmp_path / "halves")
    assert second.resume()
    assert second.iteration == 3
    second.run(progress=False)
    assert second.iteration == whole.iteration == 6
    assert second.curves == whole.curves
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name
    files = [tmp_path / run / "last.safetensors" for run in ("whole", "halves")]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert load_weights(files[0]).config == SMALL


def test_a_run_of_another_recipe_is_not_resumed(folders: Path, tmp_path: Path) -> None:
    trainer(folders, tmp_path / "run").save()
    with pytest.raises(CheckpointError, match="another recipe"):
        trainer(folders, tmp_path / "run", rate=1e-4).resume()
    assert not trainer(folders, tmp_path / "new").resume()


def test_training_learns(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run", rate=3e-3)
    batch = run.data.batch(0)
    losses = [run.step(batch) for _ in range(30)]
    for name in ("mm_fusion", "dp_fusion"):
        assert losses[-1][name] < 0.7 * losses[0][name]


def test_batches_are_a_function_of_seed_and_iteration(folders: Path) -> None:
    def data(seed: int) -> TrainingData:
        return TrainingData(folders / "ir", folders / "vis", folders / "photos", DataConfig(crop=CROP, batch=3), seed)

    once, again = data(0), data(0)
    for i, batch in enumerate(once.batches(0, 4)):
        for plane, other in zip(batch, again.batch(i), strict=True):
            assert torch.equal(plane, other)
            assert plane.shape == (3, 1, CROP, CROP)
            assert plane.dtype == torch.float32
            assert plane.min() >= 0
            assert plane.max() <= 1
    assert not torch.equal(once.batch(0).visible, once.batch(1).visible)
    assert not torch.equal(once.batch(0).visible, data(1).batch(0).visible)


def test_pairs_stay_aligned(tmp_path: Path) -> None:
    for name in ("ir", "vis"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(90, 110, 0, seed=1)).save(tmp_path / name / "same.png")
    config = DataConfig(crop=CROP, batch=8, tone_share=0, invert_share=0)
    batch = TrainingData(tmp_path / "ir", tmp_path / "vis", None, config, 0).batch(0)
    assert torch.equal(batch.infrared, batch.visible)
    assert torch.equal(batch.photo, batch.visible), "without photographs, the visible crop itself"


def test_data_errors_name_the_folder(tmp_path: Path) -> None:
    for name in ("ir", "vis", "none"):
        (tmp_path / name).mkdir()
    Image.fromarray(photo(70, 90, 0)).save(tmp_path / "ir" / "1.png")
    Image.fromarray(photo(70, 91, 3)).save(tmp_path / "vis" / "1.png")
    config = DataConfig(crop=CROP)
    for a, b, message in (
        ("missing", "vis", "missing: no such folder"),
        ("none", "vis", "no images"),
        ("ir", "vis", r"\(90, 70\) and \(91, 70\)"),
    ):
        with pytest.raises(InputError, match=message):
            TrainingData(tmp_path / a, tmp_path / b, None, config, 0)
    with pytest.raises(InputError, match="crop"):
        DataConfig(crop=16)


def test_every_pixel_is_sharp_in_one_of_both() -> None:
    sharp = torch.from_numpy(np.random.default_rng(0).random((4, 1, 64, 64), dtype=np.float32))
    config = DefocusConfig(blur=(2.0, 2.0), edge=(0.5, 0.5), soft_share=0, whole_share=0)
    near, far = random_defocus(sharp, config, np.random.default_rng(1))
    blurred = gaussian_blur(sharp, torch.full((4,), 2.0))
    # mask·sharp + (1 - mask)·blurred and its complement add up to both.
    torch.testing.assert_close(near + far, sharp + blurred, atol=1e-5, rtol=0)
    nearest = torch.minimum((near - sharp).abs(), (far - sharp).abs())
    assert float((nearest < 0.05).float().mean()) > 0.97
    assert float((near - sharp).abs().mean()) > 0.02


def test_degradation_is_drawn_per_image_and_leaves_the_rest() -> None:
    clean = torch.from_numpy(photo(48, 64, 0).astype(np.float32) / 255).expand(6, 1, 48, 64).clone()
    untouched = degrade(clean, DegradationConfig(noise_share=0, jpeg_share=0), np.random.default_rng(0))
    assert torch.equal(untouched, clean)
    noisy = degrade(clean, DegradationConfig(noise_share=1, noise=0.05, jpeg_share=0), np.random.default_rng(0))
    assert 0.001 < float((noisy - clean).std()) < 0.05
    config = DegradationConfig(noise_share=0, jpeg_share=0.5, jpeg_quality=(10, 10))
    coded = degrade(clean, config, np.random.default_rng(0))
    changed = [not torch.equal(one, other) for one, other in zip(coded, clean, strict=True)]
    assert any(changed)
    assert not all(changed)
    errors = [float((jpeg(clean[0, 0], quality) - clean[0, 0]).abs().mean()) for quality in (10, 50, 95)]
    assert errors == sorted(errors, reverse=True)


def test_gaussian_blur_is_scipys() -> None:
    from scipy.ndimage import gaussian_filter

    images = np.random.default_rng(0).random((2, 1, 40, 50))
    blurred = gaussian_blur(torch.from_numpy(images), torch.tensor([1.0, 2.5], dtype=torch.float64))
    for image, deviation, ours in zip(images, (1.0, 2.5), blurred, strict=True):
        expected = gaussian_filter(image[0], deviation, mode="mirror", radius=8)  # both cut off at 3 of the larger
        np.testing.assert_allclose(ours[0].numpy(), expected, atol=1e-12)


def test_regions_are_soft_masks_of_both_kinds() -> None:
    rng = np.random.default_rng(0)
    masks = np.stack([random_region((48, 64), 4.0, rng) for _ in range(60)])
    assert masks.dtype == np.float32
    assert masks.min() >= 0
    assert masks.max() <= 1
    shares = masks.mean(axis=(1, 2))
    assert ((shares > 0.02) & (shares < 0.98)).mean() > 0.7, "most regions have an inside and an outside"


def test_detail_energy_and_its_weights() -> None:
    flat, noisy = torch.full((1, 1, 64, 64), 0.5), torch.rand(1, 1, 64, 64)
    assert detail_energy(noisy) > detail_energy(noisy / 2) > detail_energy(flat)
    # Halving contrast halves the root mean square: log 2 less.
    torch.testing.assert_close(detail_energy(noisy) - detail_energy(noisy / 2), torch.tensor([2.0]).log())
    # A source without detail hardly weighs: fusing to the other one costs almost nothing.
    paper = LossConfig()
    assert multi_modal_loss(noisy, noisy, flat, paper) < 0.01 * multi_modal_loss(flat, noisy, flat, paper)
    assert float(multi_modal_loss(noisy, noisy, noisy, paper)) == 0


def test_detail_loss_asks_for_the_steeper_gradient() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 32, 32)
    assert float(detail_loss(ramp, ramp / 2, ramp)) < 1e-7
    assert float(detail_loss(1 - ramp, ramp, 1 - ramp * 2)) > 0
    # A ramp of 1/31 a pixel against none: half of the two components differ by that.
    torch.testing.assert_close(detail_loss(torch.zeros_like(ramp), ramp, 0 * ramp), torch.tensor(0.5 / 31))


def test_mixed_pairs_are_fused_to_the_sharp_image() -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL).train()
    images, config = Planes(*planes(5)), LossConfig()
    nothing, everything = torch.tensor([False, False]), torch.tensor([True, True])
    all_mixed = multi_modal_step(model, images, everything, config)
    changed = multi_modal_step(model, images._replace(infrared=images.visible), everything, config)
    assert all_mixed.fusion.item() == changed.fusion.item(), "infrared-visible pairs play no part"
    assert all_mixed.fusion.item() != multi_modal_step(model, images, nothing, config).fusion.item()
    half = multi_modal_step(model, images, torch.tensor([True, False]), config)
    assert torch.isfinite(half.total)


def test_photography_loss_is_the_paper_s_by_default() -> None:
    fused, sharp = planes(2)
    mse = (fused - sharp).square().mean()
    torch.testing.assert_close(photography_loss(fused, sharp, LossConfig()), mse)
    weighted = photography_loss(fused, sharp, LossConfig(absolute=2.0))
    torch.testing.assert_close(weighted, mse + 2 * (fused - sharp).abs().mean())
    assert photography_loss(sharp, sharp, LossConfig(absolute=1, structure=1)) < 1e-6


def test_losses_keep_full_precision_under_autocast() -> None:
    a = torch.from_numpy(photo(CROP, CROP, 0).astype(np.float32) / 255)[None, None]
    b = (a + 0.01 * torch.randn(a.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)
    config = LossConfig(absolute=1, structure=1, detail=1)

    def losses() -> torch.Tensor:
        return torch.stack([public_loss(b, a), multi_modal_loss(b, a, a / 2, config), photography_loss(b, a, config)])

    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = losses()
        assert public_loss(a, a) < 1e-6
    assert torch.equal(under_autocast, losses())


def test_recipes_are_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text('{"iterations": 7, "data": {"crop": 64}, "defocus": {"blur": [1, 2]}}')
    recipe = read_recipe(path, ["data.batch=3", "losses.absolute=2"])
    assert recipe == Recipe(
        iterations=7,
        data=DataConfig(crop=64, batch=3),
        defocus=DefocusConfig(blur=(1.0, 2.0)),
        losses=LossConfig(absolute=2.0),
    )
    assert read_recipe(None) == Recipe()
    for setting, message in (
        ("data.crops=3", r"unknown setting data\.crops.*crop"),
        ("iterations=1.5", "iterations must be a whole number"),
        ("rate=-1", "rate must be a number, 0 or more"),
        ("rate=fast", "rate must be a number, 0 or more, not .fast."),
        ("rate", "name=value"),
        ("rate.x=1", "rate must be a number"),
        ("defocus.blur=[1]", "list of 2"),
        ("data=3", "object"),
    ):
        with pytest.raises(InputError, match=message):
            read_recipe(None, [setting])
    path.write_text("{")
    with pytest.raises(InputError, match=r"recipe\.json"):
        read_recipe(path)


def test_the_rate_rises_and_falls() -> None:
    recipe = Recipe(iterations=1000, rate=1.0, warmup=100, final_rate=0.1)
    rates = [recipe.rate_at(i) for i in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (99, 100)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
