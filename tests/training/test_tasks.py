"""All tasks in one batch: how often, made of what, and that each of them is learned."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import photo
from PIL import Image
from safetensors.torch import load_file

from gifnet.errors import InputError
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.training.bands import random_band
from gifnet.training.data import DataConfig, TrainingData
from gifnet.training.defocus import DefocusConfig, gaussian_blur
from gifnet.training.degradation import DegradationConfig
from gifnet.training.lens import LensConfig
from gifnet.training.losses import LossConfig
from gifnet.training.objective import Sources
from gifnet.training.objectives.gifnet import GIFNetObjective, GIFNetRecipe, TaskObjective
from gifnet.training.objectives.gifnet.steps import enhance_step, task_step
from gifnet.training.tasks import EXPOSURE, FOCUS, MODAL, SHARP, EnhanceBatch, TaskBatch, TaskConfig, TaskData
from gifnet.training.trainer import Trainer

CROP = 48
SMALL = GIFNetConfig(growth=4, position_hidden=8, head="blend", enhance_main="mm")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tasks")
    for start, name in enumerate(("ir", "vis", "photos", "dark", "bright")):
        (root / name).mkdir()
        for seed in range(2):
            pixels = photo(64, 72, 0, seed=10 * start + seed)
            if name in ("dark", "bright"):
                pixels = (pixels // 4 if name == "dark" else 192 + pixels // 4).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{seed}.png")
    return root


def data(folders: Path, batch: int = 8, exposures: bool = True, seed: int = 0, **tasks: object) -> TaskData:
    config = DataConfig(crop=CROP, batch=batch)
    images = TrainingData(folders / "ir", folders / "vis", folders / "photos", config, seed)
    real = (folders / "dark", folders / "bright") if exposures else None
    return TaskData(images, real, TaskConfig(**tasks), LensConfig(), DefocusConfig(), DegradationConfig())  # type: ignore[arg-type]


def task_batch(source: TaskData, iteration: int = 0) -> TaskBatch:
    batch = source.batch(iteration)
    assert isinstance(batch, TaskBatch)
    return batch


def test_a_batch_is_a_function_of_seed_and_iteration(folders: Path) -> None:
    once, again, other = data(folders, 4), data(folders, 4), data(folders, 4, seed=1)
    for i, batch in enumerate(once.batches(0, 4)):
        assert type(batch) is (EnhanceBatch if i == 3 else TaskBatch)
        for tensor, same in zip(batch, again.batch(i), strict=True):
            assert torch.equal(tensor, same)
        for plane in batch[:2]:
            assert plane.shape == (4, 1, CROP, CROP)
            assert plane.dtype == torch.float32
            assert 0 <= float(plane.min()) <= float(plane.max()) <= 1
    assert not torch.equal(task_batch(once).a, task_batch(other).a)
    assert not torch.equal(task_batch(once).a, task_batch(once, 1).a)
    for early, late in zip(once.batch(3), list(once.batches(2, 4))[1], strict=True):
        assert torch.equal(early, late), "wherever a run begins"


def test_tasks_come_by_their_shares(folders: Path) -> None:
    # Of as many crops as a batch has, each task has its share, rounded up or down.
    source = data(folders, 8, modal=4, focus=2, sharp=1, exposure=1, gaussian_share=1, enhance_every=0)
    counts = torch.stack([torch.bincount(task_batch(source, i).task, minlength=4) for i in range(4)])
    assert counts.sum(dim=1).tolist() == [8] * 4
    assert counts[:, [MODAL, FOCUS, SHARP, EXPOSURE]].float().mean(dim=0).tolist() == [4, 2, 1, 1]
    only = task_batch(data(folders, 4, modal=0, focus=0, sharp=1, exposure=0, enhance_every=0))
    assert only.task.tolist() == [SHARP] * 4
    np.testing.assert_allclose(TaskConfig(modal=1, focus=1, sharp=1, exposure=1).shares, 0.25)
    with pytest.raises(InputError, match="give at least one task a share"):
        TaskConfig(modal=0, focus=0, sharp=0, exposure=0)


def test_sharp_pairs_are_one_image_twice(folders: Path) -> None:
    batch = task_batch(data(folders, 6, modal=0, focus=0, sharp=1, exposure=0))
    assert torch.equal(batch.a, batch.b)
    assert torch.equal(batch.a, batch.target)
    assert float(batch.a.std()) > 0.01


def test_focus_pairs_are_made_of_their_target(folders: Path) -> None:
    batch = task_batch(data(folders, 6, modal=0, focus=1, sharp=0, exposure=0))
    assert not torch.equal(batch.a, batch.b)
    best = torch.minimum((batch.a - batch.target).abs(), (batch.b - batch.target).abs())
    assert float(best.mean()) < 0.5 * float((batch.a - batch.b).abs().mean()) + 0.01


def test_bands_are_coarse_and_take_their_detail_from_the_fine_plane(folders: Path) -> None:
    texture = gaussian_blur(torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)), torch.tensor([0.7]))

    def detail(plane: torch.Tensor) -> torch.Tensor:
        return (plane - gaussian_blur(plane[None, None], torch.tensor([1.0]))[0, 0]).flatten()

    rows = []
    for seed in range(12):
        coarse, fine, band = random_band(texture[0, 0].clamp(0, 1), np.random.default_rng(seed))
        assert float(coarse.mean()) == pytest.approx(0.5, abs=0.01)
        assert float(fine.std()) == pytest.approx(float(coarse.std()), rel=0.05), "equal deviations"
        of_coarse, of_fine, of_band = detail(coarse), detail(fine), detail(band)
        agreement = float(torch.corrcoef(torch.stack([of_fine, of_band]))[0, 1].abs())
        rows.append((float(of_coarse.std() / of_band.std()), agreement))
    less, agreement = np.median(rows, axis=0)
    assert less < 0.5, "the band itself is coarse"
    assert agreement > 0.8, "what it lacks is in the fine plane"

    batch = task_batch(data(folders, 4, modal=0, focus=1, sharp=0, exposure=0, gaussian_share=0, band_share=1))
    torch.testing.assert_close(batch.a.mean(dim=(1, 2, 3)), torch.full((4,), 0.5), atol=0.02, rtol=0)
    with pytest.raises(InputError, match="gaussian_share and band_share exceed 1"):
        TaskConfig(gaussian_share=0.6, band_share=0.5)


def test_scenes_keep_the_noise_that_they_have(folders: Path, tmp_path: Path) -> None:
    # Black photographs, so that everything with detail is a scene's visible image.
    (tmp_path / "photos").mkdir()
    Image.new("L", (72, 64)).save(tmp_path / "photos" / "black.png")
    images = TrainingData(folders / "ir", folders / "vis", tmp_path / "photos", DataConfig(crop=CROP, batch=6), 0)
    noisy = DegradationConfig(noise_share=1, noise=0.1)
    shares = {"modal": 0, "focus": 1, "sharp": 0, "exposure": 0, "gaussian_share": 1}
    whole = DefocusConfig(whole_share=1, soft_blur=(1e-3, 2e-3), soft_share=0)
    for share in (0.0, 1.0):
        source = TaskData(images, None, TaskConfig(scene_share=share, **shares), LensConfig(), whole, noisy)
        batch = task_batch(source)
        if share:
            assert float(batch.target.std()) > 0.05
            torch.testing.assert_close(batch.a, batch.target, atol=1e-5, rtol=0)
        else:
            assert not batch.target.any()
            assert float(batch.a.std()) > 0.005


def test_exposure_pairs_are_real_ones_where_there_are(folders: Path) -> None:
    shares = {"modal": 0, "focus": 0, "sharp": 0, "exposure": 1}
    real = task_batch(data(folders, 6, real_exposure_share=1, **shares))
    for a, b in zip(real.a, real.b, strict=True):
        assert sorted([float(a.max()) < 0.26, float(b.max()) < 0.26]) == [False, True], "a dark and a bright one"
        assert max(float(a.min()), float(b.min())) > 0.74
    made = task_batch(data(folders, 6, exposures=False, **shares))
    assert not torch.equal(made.a, made.b)


def test_enhancing_starts_from_mildly_worse_photographs(folders: Path) -> None:
    source = data(folders, enhance_every=1, enhance_batch=6, enhance_noise=0.01)
    batch = source.batch(0)
    assert isinstance(batch, EnhanceBatch)
    assert batch.x.shape == batch.target.shape == (6, 1, CROP, CROP)
    error = (batch.x - batch.target).abs().mean()
    assert 0 < float(error) < 0.05
    sharp = data(folders, enhance_every=1, enhance_batch=6, enhance_noisy=0, enhance_unblurred=1).batch(0)
    assert torch.equal(sharp[0], sharp[1])
    never = data(folders, enhance_every=0)
    assert not any(never.enhances(i) for i in range(20))


def test_every_task_s_loss_is_finite_and_falls(folders: Path) -> None:
    torch.manual_seed(0)
    source = data(folders, 4, exposures=True, gaussian_share=1)
    # Without absolute errors: a new network's, of one image twice, are 0, a kink that no small step leads down from.
    config = LossConfig(detail=1, modal_structure=0.5, modal_information=0.1, structure=0.5)
    batch, enhance = task_batch(source), source.batch(3)
    assert isinstance(enhance, EnhanceBatch)
    for name in ("modal", "focus", "exposure", "enhance"):
        model = GIFNet(replace(SMALL)).train()

        def loss(name: str = name, model: GIFNet = model) -> torch.Tensor:
            losses = enhance_step(model, enhance, config) if name == "enhance" else task_step(model, batch, config)
            return losses[name]

        before = loss()
        assert math.isfinite(before.item()), name
        before.backward()  # type: ignore[no-untyped-call]
        moved = [parameter for parameter in model.parameters() if parameter.grad is not None]
        steepness = sum(float(parameter.grad.square().sum()) for parameter in moved)  # type: ignore[union-attr]
        with torch.no_grad():  # so little that the loss is all but linear: to 0.998 of it
            for parameter in moved:
                parameter -= 0.002 * before.item() / steepness * parameter.grad  # type: ignore[operator]
        assert loss().item() < before.item(), name


def test_a_task_s_loss_is_weighed_by_its_share(folders: Path) -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL).eval()
    batch = task_batch(data(folders, 4, modal=1, focus=0, sharp=1, exposure=0))
    config = LossConfig()
    both = task_step(model, batch, config)
    assert both.keys() == {"modal", "focus"}, "of tasks that the batch lacks there is none"
    chosen = batch.task == MODAL
    alone = task_step(model, TaskBatch(*(tensor[chosen] for tensor in batch)), config)
    torch.testing.assert_close(both["modal"], alone["modal"] * chosen.float().mean())


def objective(folders: Path, **settings: object) -> TaskObjective:
    tasks = TaskConfig(enhance_every=2, enhance_batch=1, gaussian_share=1)
    recipe = GIFNetRecipe(iterations=3, steps="tasks", tasks=tasks, data=DataConfig(crop=CROP, batch=2), **settings)  # type: ignore[arg-type]
    sources = Sources(folders / "ir", folders / "vis", folders / "photos", (folders / "dark", folders / "bright"))
    made = GIFNetObjective.from_sources(recipe, sources, CPU)
    assert isinstance(made, TaskObjective)
    return made


def test_a_run_of_all_tasks_is_resumed_bit_for_bit(folders: Path, tmp_path: Path) -> None:
    def trainer(name: str) -> Trainer:
        (tmp_path / name).mkdir(exist_ok=True)
        torch.manual_seed(0)
        return Trainer(GIFNet(SMALL), objective(folders), tmp_path / name)

    whole, first = trainer("whole"), trainer("halves")
    whole.run(progress=False)
    assert list(whole.curves[0]) == ["iteration", "rate", "modal", "focus", "exposure", "enhance"]
    assert math.isnan(whole.curves[0]["enhance"])
    assert math.isfinite(whole.curves[1]["enhance"])
    for batch in first.objective.batches(0, 1):
        first.curves.append(first.step(batch))
    first.save()
    second = trainer("halves")
    assert second.resume()
    second.run(progress=False)
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("whole", "halves")]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert (tmp_path / "whole" / "curves.csv").read_bytes() == (tmp_path / "halves" / "curves.csv").read_bytes()


def test_what_does_not_go_together(folders: Path) -> None:
    sources = Sources(folders / "ir", folders / "vis", None)
    with pytest.raises(InputError, match="give a folder of them"):
        GIFNetObjective.from_sources(GIFNetRecipe(steps="tasks", data=DataConfig(crop=CROP)), sources, CPU)
    sources = replace(sources, exposures=(folders / "dark", folders / "bright"))
    with pytest.raises(InputError, match="goes with --set steps=tasks"):
        GIFNetObjective.from_sources(GIFNetRecipe(data=DataConfig(crop=CROP)), sources, CPU)


def test_exposures_smaller_than_the_crop(folders: Path, tmp_path: Path) -> None:
    for name in ("dark", "bright"):
        (tmp_path / name).mkdir()
        Image.fromarray(photo(CROP - 1, 72, 0)).save(tmp_path / name / "0.png")
    images = TrainingData(folders / "ir", folders / "vis", folders / "photos", DataConfig(crop=CROP, batch=4), 0)
    with pytest.raises(InputError, match=f"dark.*{CROP} pixels a side; give a smaller crop"):
        TaskData(
            images, (tmp_path / "dark", tmp_path / "bright"), TaskConfig(), LensConfig(), DefocusConfig(),
            DegradationConfig(),
        )  # fmt: skip
