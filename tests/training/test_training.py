"""Training: what each step may move, what the data is made of, and that a resumed run is the unbroken one."""

import json
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, photo
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gifnet import InputError, metrics
from gifnet.checkpoints.format import file_sha256, load_weights, save_weights
from gifnet.cli import main
from gifnet.errors import CheckpointError
from gifnet.fuser import Fuser
from gifnet.networks.gifnet import GIFNet, GIFNetConfig
from gifnet.training.curves import draw
from gifnet.training.data import Batch, DataConfig, TrainingData
from gifnet.training.defocus import DefocusConfig, gaussian_blur, random_defocus, random_region
from gifnet.training.degradation import DegradationConfig, degrade, jpeg
from gifnet.training.densenet import densenet121_features
from gifnet.training.losses import (
    LossConfig,
    detail_energy,
    detail_loss,
    multi_modal_loss,
    photography_loss,
    public_loss,
)
from gifnet.training.objectives.gifnet import GIFNetRecipe, PaperObjective
from gifnet.training.objectives.gifnet.network import start_anew
from gifnet.training.objectives.gifnet.objective import COLUMNS
from gifnet.training.objectives.gifnet.steps import Planes, fusion_step, multi_modal_step, photography_step
from gifnet.training.recipe import read_recipe
from gifnet.training.trainer import Trainer
from gifnet.training.validation import METRICS as VALIDATED
from gifnet.training.validation import Validation, focus_pair

SMALL = GIFNetConfig(growth=2, position_hidden=4)
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


def validation(folders: Path, every: int = 2) -> Validation:
    return Validation((folders / "ir", folders / "vis"), folders / "photos", every)


def trainer(folders: Path, run: Path, validation: Validation | None = None, **options: object) -> Trainer:
    run.mkdir(exist_ok=True)
    settings = {"iterations": 4, "warmup": 2, "data": DataConfig(crop=CROP, batch=2), **options}
    recipe = GIFNetRecipe(**settings)  # type: ignore[arg-type]
    data = TrainingData(folders / "ir", folders / "vis", folders / "photos", recipe.data, recipe.seed)
    torch.manual_seed(0)
    return Trainer(GIFNet(SMALL), PaperObjective(recipe, data, torch.device("cpu")), run, validation)


def batches(run: Trainer, start: int, stop: int) -> list[Batch]:
    return list(run.objective.batches(start, stop))


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


@pytest.mark.parametrize(
    "train_only", [*(pytest.param(part, marks=pytest.mark.slow) for part in ("all", "fusion")), "decoder"]
)
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(folders: Path, tmp_path: Path, train_only: str) -> None:
    options = {"train_only": train_only, "mixed_share": 0.5, "fresh_decoder_layers": 1}
    checks = validation(folders)
    whole = trainer(folders, tmp_path / "whole", checks, **options)
    whole.run(progress=False)
    first = trainer(folders, tmp_path / "halves", checks, **options)
    for batch in batches(first, 0, 2):
        first.curves.append(first.step(batch))
        first.validate()
    first.save()
    second = trainer(folders, tmp_path / "halves", checks, **options)
    assert second.resume()
    assert second.iteration == 2
    second.run(progress=False)
    assert second.iteration == whole.iteration == 4
    assert second.curves == whole.curves
    assert [row["iteration"] for row in second.validations] == [2, 4]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name
        assert torch.equal(whole.average[name], second.average[name]), name
    without = trainer(folders, tmp_path / "without", **options)
    without.run(progress=False)
    for name in ("last.safetensors", "curves.csv", "best.safetensors", "validation.csv"):
        expected = (tmp_path / "whole" / name).read_bytes()
        assert (tmp_path / "halves" / name).read_bytes() == expected, name
        if name in ("last.safetensors", "curves.csv"):
            assert (tmp_path / "without" / name).read_bytes() == expected, "validation changes nothing"
    states = [load_file(tmp_path / run / "state.safetensors") for run in ("whole", "halves", "without")]
    for state in states[1:]:
        assert state.keys() == states[0].keys()
        assert all(torch.equal(value, states[0][name]) for name, value in state.items())
    assert sorted(path.name for path in (tmp_path / "halves").iterdir()) == [
        "best.safetensors", "curves.csv", "curves.png", "last.safetensors", "state.safetensors", "validation.csv",
    ]  # fmt: skip
    assert load_weights(tmp_path / "whole" / "last.safetensors").config == SMALL


def test_a_run_of_another_recipe_is_not_resumed(folders: Path, tmp_path: Path) -> None:
    trainer(folders, tmp_path / "run").save()
    with pytest.raises(CheckpointError, match="another recipe"):
        trainer(folders, tmp_path / "run", rate=1e-4).resume()
    assert not trainer(folders, tmp_path / "new").resume()


def test_a_state_of_before_a_setting_existed_is_resumed(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run")
    run.save()
    path = tmp_path / "run" / "state.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    config = json.loads(metadata["config"])
    del config["train_only"], config["losses"]["phi"]
    save_file(tensors, path, {**metadata, "config": json.dumps(config)})
    assert trainer(folders, tmp_path / "run").resume()
    with pytest.raises(CheckpointError, match="another recipe"):
        trainer(folders, tmp_path / "run", train_only="decoder").resume()
    save_file({**tensors, "optimiser/0/exp_avg": torch.zeros(1)}, path, metadata)  # as older ones named it
    with pytest.raises(CheckpointError, match=r"not of this gifnet and network .*optimiser/0"):
        trainer(folders, tmp_path / "run").resume()
    save_file(tensors, path, {**metadata, "config": json.dumps({**config, "of_the_future": 1})})
    with pytest.raises(CheckpointError, match="of_the_future"):
        trainer(folders, tmp_path / "run").resume()


@pytest.mark.slow
def test_a_terminated_run_saves_and_goes_on(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = Validation(None, folders / "photos", every=1)
    whole = trainer(folders, tmp_path / "whole", checks, iterations=3)
    whole.run(progress=False)
    stopped = trainer(folders, tmp_path / "stopped", checks, iterations=3)

    def terminated(*arguments: object) -> None:
        """In the place of the second validation, given up for the signal that arrives in it."""
        if stopped.iteration == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return measure(*arguments)

    measure = checks.measure
    monkeypatch.setattr(checks, "measure", terminated)
    assert stopped.run(progress=False) == signal.SIGTERM
    assert stopped.iteration == 2
    assert [row["iteration"] for row in stopped.validations] == [1]
    monkeypatch.undo()
    again = trainer(folders, tmp_path / "stopped", checks, iterations=3)
    assert again.resume()
    assert again.run(progress=False) is None
    for name in ("last.safetensors", "best.safetensors", "curves.csv", "validation.csv"):
        assert (tmp_path / "stopped" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_the_decoder_alone_learns_and_nothing_else_moves(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run", train_only="decoder", mixed_share=0.5, rate=3e-3)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    batch = batches(run, 0, 1)[0]
    rows = []
    for _ in range(20):
        run.iteration = 2  # the same draws every time, at the full rate
        rows.append(run.step(batch))
    assert tuple(rows[0]) == ("iteration", "rate", *COLUMNS["decoder"])
    assert rows[-1]["decoder_fusion"] < 0.7 * rows[0]["decoder_fusion"]
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {name for name in before if name.startswith("decoder.")}


def test_the_fusion_step_trains_what_inference_runs_but_the_auxiliary_branch(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run", train_only="fusion", main="mm", mixed_share=0.5, rate=3e-3)
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    for batch in batches(run, 0, 3):
        assert tuple(run.step(batch)) == ("iteration", "rate", *COLUMNS["fusion"])
    moved = {name for name, value in run.model.state_dict().items() if not torch.equal(value, before[name])}
    for part in ("encoder.conv1", "cfgm.embed.mm", "cfgm.blocks.0.branches.mm", "cfgm.blocks.1", "decoder.decode"):
        assert any(name.startswith(part) for name in moved), part
    assert not any(".dp" in name or name.startswith("reconstruction") for name in moved)


def test_detail_is_asked_for_in_octaves_and_with_gain() -> None:
    generator = torch.Generator().manual_seed(3)
    first, second = torch.rand(2, 1, 1, 64, 64, generator=generator)
    flat = torch.full_like(first, 0.5)
    # The steeper source's own gradients have no loss; with a gain, they lack their share of it.
    assert float(detail_loss(first, first, flat, octaves=4)) == 0
    lacking = float(detail_loss(first, first, flat, octaves=4, gain=1.5))
    assert lacking == pytest.approx(0.5 * float(detail_loss(flat, first, flat, octaves=4)), rel=1e-5)
    # Another mean in each half is contrast that only coarse octaves weigh: the finest sees one row of it.
    step = first.clone()
    step[..., 32:] += 0.5
    fine, coarse = (float(detail_loss(first, step, second * 0, octaves=octaves)) for octaves in (1, 4))
    assert coarse > 2 * fine


def test_exposures_are_two_of_one_photograph(folders: Path) -> None:
    config = DataConfig(crop=48, batch=6, exposure_share=1.0)
    data = TrainingData(folders / "ir", folders / "vis", folders / "photos", config, seed=0)
    for dark, bright in zip(*data.batch(0)[:2], strict=True):
        if dark.mean() > bright.mean():
            dark, bright = bright, dark
        inside = (bright < 0.99) & (dark > 0.02)
        if int(inside.sum()) > 50:  # the brighter one is the darker one's light times one factor, up to the clipping
            ratio = (bright / dark)[inside].log()
            assert float(ratio.std()) < 1e-3
            assert float(ratio.mean()) > 0
    assert torch.equal(data.batch(1).infrared, data.batch(1).infrared)


def test_the_decoder_step_sees_features_as_inference_does() -> None:
    for branch in ("mm", "dp"):
        torch.manual_seed(0)
        model = GIFNet(replace(SMALL, main=branch)).train()
        images, mixed = Planes(*planes(5)), torch.tensor([True, False])
        losses = fusion_step(model, images, mixed, LossConfig(multi_modal=3.0), decoder_only=True)
        a, b = torch.stack([images.near[0], images.infrared[1]]), torch.stack([images.far[0], images.visible[1]])
        with torch.no_grad():
            fused = model.eval()(a, b)
        one = photography_loss(fused[:1], images.sharp[:1], LossConfig())
        other = multi_modal_loss(fused[1:], images.infrared[1:], images.visible[1:], LossConfig())
        torch.testing.assert_close(losses.fusion, one / 2 + 3 * other / 2)
        assert losses.public is None
        assert losses.total is losses.fusion


def test_fresh_layers_are_the_decoder_s_last() -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    start_anew(model, 0, seed=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    start_anew(model, 3, seed=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"decoder.decode.{index}.weight" for index in (2, 4, 6)}, "biases were zero already"
    weight = model.decoder.decode[2].weight  # type: ignore[union-attr]
    assert float(weight.detach().std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)  # type: ignore[arg-type, operator]
    once = model.state_dict()["decoder.decode.2.weight"].clone()
    start_anew(model, 1, seed=0)
    assert torch.equal(model.state_dict()["decoder.decode.2.weight"], once)


def test_the_main_branch_is_kept_or_chosen(folders: Path, tmp_path: Path) -> None:
    for choice, expected in (("keep", "dp"), ("mm", "mm")):
        run = trainer(folders, tmp_path / choice, main=choice)
        run.save()
        assert load_weights(tmp_path / choice / "last.safetensors").config.main == expected


# Validation and curves


def test_validation_measures_as_the_metrics_do(folders: Path) -> None:
    torch.manual_seed(0)
    model = GIFNet(SMALL)
    found = validation(folders).measure(model, torch.device("cpu"))
    assert found is not None
    fuser = Fuser(model.eval(), "cpu", "float32")

    def plane(folder: str, i: int) -> torch.Tensor:
        (path,) = (folders / folder).glob(f"{i}.*")
        return torch.from_numpy(np.array(Image.open(path).convert("L")))[None]

    def unit(plane: torch.Tensor) -> torch.Tensor:
        return plane[None].float() / 255

    values = []
    for i in range(3):
        a, b = plane("ir", i), plane("vis", i)
        values.append(metrics.evaluate(unit(fuser.fuse(a, b)), unit(a), unit(b), VALIDATED))
    for name in VALIDATED:
        assert found[name] == pytest.approx(np.mean([float(value[name]) for value in values]), rel=1e-5), name
    decibels = []
    for i in range(2):
        sharp = plane("photos", i)
        near, far = ((side[0] * 255).round().to(torch.uint8) for side in focus_pair(unit(sharp), i))
        error = (unit(fuser.fuse(near, far)) - unit(sharp)).square().mean()
        decibels.append(-10 * float(error.log10()))
    assert found["photo_psnr"] == pytest.approx(np.mean(decibels), rel=1e-5)
    terms = [found[name] for name in ("VIF", "Qabf", "SSIM")]
    assert found["score"] == pytest.approx(sum(terms) + found["photo_psnr"] / 20)
    assert tuple(sorted(found)) == tuple(sorted(validation(folders).names))


def test_validation_takes_either_kind(folders: Path) -> None:
    model, cpu = GIFNet(SMALL), torch.device("cpu")
    pairs = Validation((folders / "ir", folders / "vis"), None).measure(model, cpu)
    photos = Validation(None, folders / "photos").measure(model, cpu)
    both = validation(folders).measure(model, cpu)
    assert pairs is not None
    assert photos is not None
    assert both is not None
    assert set(pairs) == {"score", *VALIDATED}
    assert set(photos) == {"score", "photo_psnr", "photo_ssim"}
    assert both["score"] == pytest.approx(pairs["score"] + photos["score"])
    assert validation(folders).measure(model, cpu, stopped=lambda: True) is None


def test_validation_takes_the_middle_of_large_images(tmp_path: Path) -> None:
    pixels = photo(300, 400, 0)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    (case,) = Validation(None, tmp_path).cases
    assert case.truth is not None
    np.testing.assert_array_equal(case.truth[0].numpy(), pixels[22:278, 72:328])


def test_what_can_not_validate(folders: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 or more"):
        Validation((folders / "ir", folders / "vis"), None, every=0)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        Validation((folders / "ir", tmp_path / "nowhere"), None)
    Image.fromarray(photo(40, 90, 0)).save(tmp_path / "small.png")
    with pytest.raises(InputError, match=r"small\.png: 90×40 pixels"):
        Validation(None, tmp_path)
    run = trainer(folders, tmp_path / "run", validation(folders, every=1))
    run.curves.append(run.step(batches(run, 0, 1)[0]))
    assert run.validate()
    assert not run.validate(), "once is enough"
    run.save()
    with pytest.raises(CheckpointError, match=r"validation\.csv: holds score, VIF"):
        trainer(folders, tmp_path / "run", Validation(None, folders / "photos")).resume()


def test_the_best_weights_are_kept(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = validation(folders, every=1)
    scores = iter([1.0, math.nan, 3.0, 2.0, 3.0, 2.5])
    monkeypatch.setattr(checks, "measure", lambda *_: dict.fromkeys(checks.names, next(scores)))
    run = trainer(folders, tmp_path / "run", checks, iterations=6)
    run.run(progress=False)
    with safe_open(tmp_path / "run" / "best.safetensors", framework="pt") as file:
        notes = json.loads(file.metadata()["notes"])
    assert notes["iterations"] == "3"
    assert json.loads(notes["validation"])["score"] == 3.0
    assert notes["phi"].startswith("logarithm of the root mean squared detail")
    rows = (tmp_path / "run" / "validation.csv").read_text().splitlines()
    assert rows[0].startswith("iteration,score,VIF,")
    assert [row.split(",")[:2] for row in rows[1:3]] == [["1", "1.0"], ["2", "nan"]]


def test_curves_are_drawn(folders: Path, tmp_path: Path) -> None:
    def shown(path: Path) -> tuple[int, int, int]:
        with Image.open(path) as image:
            assert image.format == "PNG"
            colours = image.convert("RGB").getcolors(maxcolors=1 << 20)
            return *image.size, len(colours or [])

    rows = [{"iteration": i, "rate": 1.0, "x": 1 / (i + 1), "y": 2.0, "zero": 0.0} for i in range(120)]
    draw(tmp_path / "losses.png", rows)
    draw(tmp_path / "both.png", rows, [{"iteration": 50, "score": 2.0}, {"iteration": 100, "score": math.nan}])
    draw(tmp_path / "none.png", [])
    losses, both, none = (shown(tmp_path / f"{name}.png") for name in ("losses", "both", "none"))
    assert both[1] == 2 * losses[1] == 2 * none[1]
    assert losses[2] > none[2] + 20, "lines in colours of their own"


def test_curves_are_drawn_at_most_every_minute(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = trainer(folders, tmp_path / "run")
    drawn: list[Path] = []
    monkeypatch.setattr("gifnet.training.trainer.draw", lambda path, *_: drawn.append(path))
    for _ in range(3):
        run.save()
    assert drawn == [tmp_path / "run" / "curves.png"]
    run.run(progress=False)
    assert len(drawn) == 2, "and at the end"


# The command


def test_command(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights, start = tmp_path / "densenet121.safetensors", tmp_path / "start.safetensors"
    save_file(densenet121_features().state_dict(), weights)
    torch.manual_seed(0)
    save_weights(GIFNet(SMALL), start)
    run = tmp_path / "run"
    arguments = [
        "train", folders / "ir", folders / "vis", "--photos", folders / "photos", "-o", run, "--device", "cpu",
        "--init", start, "--phi", "densenet", "--densenet-weights", weights,
        "--validate", folders / "ir", folders / "vis", "--validate-every", 2,
        "--set", "iterations=3", "--set", "data.crop=48", "--set", "data.batch=2", "--set", "train_only=decoder",
        "--set", "fresh_decoder_layers=3", "--set", "main=mm", "--set", "mixed_share=0.5",
    ]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    assert "3/3" in capsys.readouterr().err
    assert {path.name for path in run.iterdir()} == {
        "last.safetensors", "best.safetensors", "state.safetensors", "curves.csv", "curves.png", "validation.csv",
    }  # fmt: skip
    model = load_weights(run / "last.safetensors")
    assert model.config.main == "mm"
    begun = load_weights(start)
    assert torch.equal(model.encoder.conv1.weight, begun.encoder.conv1.weight)
    assert not torch.equal(model.decoder.complement[0].weight, begun.decoder.complement[0].weight)  # type: ignore[arg-type]
    with safe_open(run / "last.safetensors", framework="pt") as file:
        notes = json.loads(file.metadata()["notes"])
    assert notes["phi"].startswith("mean squared detail of five stages of DenseNet-121")
    assert notes["densenet_sha256"] == file_sha256(weights)
    assert notes["initial_weights_sha256"] == file_sha256(start)
    recipe = json.loads(notes["recipe"])
    assert (recipe["train_only"], recipe["losses"]["phi"]) == ("decoder", "densenet")
    iterations = [row.split(",")[0] for row in (run / "validation.csv").read_text().splitlines()]
    assert iterations == ["iteration", "2", "3"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--phi", "densenet"], "needs its weights: --densenet-weights FILE"),
        (["--densenet-weights", "x.safetensors"], "goes with --phi densenet"),
        (["--phi", "densenet", "--densenet-weights", "x.pth"], "weights_only=True"),
        (["--set", "train_only=encoder"], "give one of all, fusion, decoder"),
        (["--set", "main=xx"], "give one of keep, mm, dp"),
        (["--set", "fresh_decoder_layers=5"], "must be 0 to 4"),
        (["--set", "losses.phi=vgg"], "give one of gradient, densenet"),
        (["--set", "train_only=1"], "train_only must be a word, such as all, not 1"),
    ],
)
def test_command_refuses(
    folders: Path, tmp_path: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", str(folders / "ir"), str(folders / "vis"), "-o", str(tmp_path / "run"), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# Data, losses and recipes


def test_training_learns(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run", iterations=20, rate=5e-3)
    batch = batches(run, 0, 1)[0]
    losses = [run.step(batch) for _ in range(20)]
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
    recipe = read_recipe(GIFNetRecipe, path, ["data.batch=3", "losses.absolute=2"])
    assert recipe == GIFNetRecipe(
        iterations=7,
        data=DataConfig(crop=64, batch=3),
        defocus=DefocusConfig(blur=(1.0, 2.0)),
        losses=LossConfig(absolute=2.0),
    )
    assert read_recipe(GIFNetRecipe, None) == GIFNetRecipe()
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
            read_recipe(GIFNetRecipe, None, [setting])
    path.write_text("{")
    with pytest.raises(InputError, match=r"recipe\.json"):
        read_recipe(GIFNetRecipe, path)


def test_every_setting_is_documented_with_its_default() -> None:
    def settings(values: dict[str, object], prefix: str = "") -> Iterator[tuple[str, object]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from settings(value, f"{prefix}{name}.")
            else:
                yield prefix + name, list(value) if isinstance(value, tuple) else value

    text = (ROOT / "docs" / "training.md").read_text("utf-8").split("\n## TITA")[0]
    rows = [line.split(" | ") for line in text.splitlines()]
    documented = {row[0].strip("| `"): row[1] for row in rows if len(row) == 3}
    for name, value in settings(asdict(GIFNetRecipe())):
        default = documented[name]
        assert default == value if isinstance(value, str) else json.loads(default) == value, name


def test_the_rate_rises_and_falls() -> None:
    recipe = GIFNetRecipe(iterations=1000, rate=1.0, warmup=100, final_rate=0.1)
    rates = [recipe.rate_at(i) for i in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0)
    assert rates.index(max(rates)) in (99, 100)
    assert rates[-1] == pytest.approx(0.1, abs=1e-3)
