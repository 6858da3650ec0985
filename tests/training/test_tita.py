"""TITA's objective: its losses, one step of FAMO by hand, and runs that are resumed bit for bit."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, photo
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from gifnet.checkpoints.format import load_weights, read_metadata, save_weights
from gifnet.cli import main
from gifnet.errors import InputError
from gifnet.networks.tita import TITA, TITAConfig
from gifnet.training.curves import draw
from gifnet.training.data import DataConfig
from gifnet.training.objective import Sources
from gifnet.training.objectives.tita import TITAObjective, TITARecipe
from gifnet.training.objectives.tita.data import TITABatch
from gifnet.training.objectives.tita.famo import FAMO
from gifnet.training.objectives.tita.losses import steepness, task_loss
from gifnet.training.objectives.tita.recipe import FAMOConfig, LossConfig, PairConfig
from gifnet.training.trainer import Trainer

CROP = 48
SMALL = TITAConfig(channels=8, heads=2, window=4, depth=2, groups=1)
CPU = torch.device("cpu")
DATA = DataConfig(crop=CROP, batch=1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tita")
    for start, name in enumerate(("ir", "vis", "photos", "dark", "bright")):
        (root / name).mkdir()
        for seed in range(2):
            pixels = photo(64, 72, 0, seed=10 * start + seed)
            if name in ("dark", "bright"):
                pixels = (pixels // 4 if name == "dark" else 192 + pixels // 4).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{seed}.png")
    return root


def sources(folders: Path) -> Sources:
    return Sources(
        folders / "ir", folders / "vis", folders / "photos", exposures=(folders / "dark", folders / "bright")
    )


def objective(folders: Path, **settings: object) -> TITAObjective:
    recipe = TITARecipe(**{"iterations": 2, "warmup": 1, "rate": 1e-3, "data": DATA, **settings})  # type: ignore[arg-type]
    return TITAObjective.from_sources(recipe, sources(folders), CPU)


def trainer(folders: Path, run: Path, **settings: object) -> Trainer:
    run.mkdir(exist_ok=True)
    torch.manual_seed(0)
    return Trainer(TITA(SMALL), objective(folders, **settings), run)


def planes(number: int, side: int = 24) -> list[Tensor]:
    return list(torch.rand(number, 2, 1, side, side, generator=torch.Generator().manual_seed(0)))


def test_one_step_of_famo_by_hand() -> None:
    """Two steps, in float64 and with plain formulas: of the network's gradient, and of Adam on the logits."""
    famo = FAMO(3, FAMOConfig(), CPU)
    famo.logits = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    famo.optimiser = torch.optim.Adam([famo.logits], lr=0.025, weight_decay=1e-3)
    # The network: one number t, with losses t², 2t + 1 and e^t, and a plain descent.
    t = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)

    def losses(t: Tensor) -> Tensor:
        return torch.stack([t**2, 2 * t + 1, t.exp()])

    logits, first, second = np.array([0.3, -0.2, 0.1]), np.zeros(3), np.zeros(3)
    value = 0.7
    for step in (1, 2):
        before = losses(t)
        (gradient,) = torch.autograd.grad(famo.loss(before), t)
        with torch.no_grad():
            t -= 0.1 * gradient
        famo.update(before, losses(t))

        z = np.exp(logits) / np.exp(logits).sum()
        at = np.array([value**2, 2 * value + 1, math.exp(value)])
        slopes = np.array([2 * value, 2, math.exp(value)])
        c = (z / (at + 1e-8)).sum()
        expected = (z * slopes / (at + 1e-8)).sum() / c
        assert float(gradient) == pytest.approx(expected, rel=1e-12)
        value -= 0.1 * expected
        then = np.array([value**2, 2 * value + 1, math.exp(value)])
        gain = np.log(at + 1e-8) - np.log(then + 1e-8)
        jacobian = np.diag(z) - np.outer(z, z)
        g = jacobian @ gain + 1e-3 * logits
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        logits = logits - 0.025 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        np.testing.assert_allclose(famo.logits.detach().numpy(), logits, rtol=1e-12)
    # What gained least weighs more than it did, what gained most less.
    weights = famo.weights().numpy()
    started = np.exp([0.3, -0.2, 0.1]) / np.exp([0.3, -0.2, 0.1]).sum()
    assert weights[gain.argmin()] > started[gain.argmin()]
    assert weights[gain.argmax()] < started[gain.argmax()]


@pytest.mark.parametrize("task", ["modal", "focus", "exposure"])
def test_the_losses_are_the_paper_s(task: str) -> None:
    fused, a, b, target = planes(4)
    b = b * 0.5

    def sobel(x: Tensor) -> np.ndarray:
        p = x[:, 0].double().numpy()
        across = (p[:, :-2, 2:] + 2 * p[:, 1:-1, 2:] + p[:, 2:, 2:]) - (
            p[:, :-2, :-2] + 2 * p[:, 1:-1, :-2] + p[:, 2:, :-2]
        )
        down = (p[:, 2:, :-2] + 2 * p[:, 2:, 1:-1] + p[:, 2:, 2:]) - (
            p[:, :-2, :-2] + 2 * p[:, :-2, 1:-1] + p[:, :-2, 2:]
        )
        return np.asarray(np.abs(across) + np.abs(down))

    def ssim(x: Tensor, y: Tensor) -> float:
        return float(structural_similarity_index_measure(x[None], y[None], data_range=1.0))

    middle = torch.maximum(a, b) if task == "modal" else (a + b) / 2
    expected = 20 * float((fused - middle).abs().double().mean())
    expected += 20 * np.abs(sobel(fused) - np.maximum(sobel(a), sobel(b))).mean()
    unlike = []
    for i in range(2):
        steep = sobel(a)[i].mean(), sobel(b)[i].mean()
        share = 0.5 if task == "exposure" else steep[0] / sum(steep)
        unlike.append(1 - share * ssim(fused[i], a[i]) - (1 - share) * ssim(fused[i], b[i]))
    expected += 10 * float(np.mean(unlike))
    assert float(task_loss(fused, a, b, target, task, LossConfig())) == pytest.approx(expected, rel=1e-5)


def test_settings_of_the_losses() -> None:
    fused, a, b, target = planes(4, side=CROP)
    truth = LossConfig(focus_target="truth")
    assert float(task_loss(target, a, b, target, "focus", truth)) == pytest.approx(0, abs=1e-5)
    assert float(task_loss(target, a, b, target, "focus", LossConfig())) > 1
    for task in ("modal", "exposure"):
        values = [float(task_loss(fused, a, b, target, task, config)) for config in (truth, LossConfig())]
        assert values[0] == values[1]
    more = LossConfig(exposure=5.0)
    assert task_loss(fused, a, b, target, "exposure", more) > task_loss(fused, a, b, target, "exposure", LossConfig())
    assert float(steepness(torch.arange(8.0).expand(1, 1, 8, 8)).unique()) == 8  # Sobel's, of one level per pixel
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert float(task_loss(a, a, a, a, "modal", LossConfig())) == pytest.approx(0, abs=1e-4)


def test_batches_hold_each_task(folders: Path) -> None:
    run = objective(folders, data=replace(DATA, batch=2))
    first, again, other = (next(run.batches(i, i + 1)) for i in (5, 5, 6))
    assert isinstance(first, TITABatch)
    assert first.a.shape == first.b.shape == first.target.shape == (6, 1, CROP, CROP)
    assert all(torch.equal(x, y) for x, y in zip(first, again, strict=True))
    assert not torch.equal(first.a, other.a)
    assert torch.equal(first.target[:2], first.a[:2]), "the visible plane comes first"
    exposed = first.a[4:].mean(dim=(1, 2, 3)) - first.b[4:].mean(dim=(1, 2, 3))
    assert float(exposed.abs().min()) > 0.05


@pytest.mark.parametrize("balance", ["famo", pytest.param("equal", marks=pytest.mark.slow)])
def test_a_resumed_run_is_the_unbroken_one_bit_for_bit(folders: Path, tmp_path: Path, balance: str) -> None:
    whole, first = (trainer(folders, tmp_path / name, balance=balance) for name in ("whole", "halves"))
    assert whole.run(progress=False) is None
    for batch in first.objective.batches(0, 1):
        first.curves.append(first.step(batch))
    first.save()
    second = trainer(folders, tmp_path / "halves", balance=balance)
    assert second.resume()
    assert second.run(progress=False) is None
    assert second.curves == whole.curves
    states = [load_file(tmp_path / name / "state.safetensors") for name in ("whole", "halves")]
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    last = whole.curves[-1]
    weights = [last[f"weight_{task}"] for task in ("modal", "focus", "exposure")]
    assert sum(weights) == pytest.approx(1)
    assert all(last[task] < whole.curves[0][task] * 1.5 for task in ("modal", "focus", "exposure"))
    assert ("objective/learned/logits" in states[0]) == (balance == "famo") == (len(set(weights)) > 1)
    notes = read_metadata(tmp_path / "whole" / "last.safetensors")["notes"]
    assert ("task_weights" in notes) == (balance == "famo")


def test_training_learns(folders: Path, tmp_path: Path) -> None:
    run = trainer(folders, tmp_path / "run", iterations=8, rate=1e-2)
    batch = next(run.objective.batches(0, 1))
    rows = [run.step(batch) for _ in range(8)]
    for task in ("modal", "focus", "exposure"):
        assert rows[-1][task] < 0.8 * rows[0][task]


@pytest.mark.parametrize("begun", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["small", "the paper's"])
def test_the_command_trains_it(folders: Path, tmp_path: Path, begun: bool, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", str(folders / "ir"), str(folders / "vis"), "-o", str(tmp_path / "run"), "--network", "tita"]
    photos = ["--photos", str(folders / "photos"), "--validate", str(folders / "ir"), str(folders / "vis")]
    small = [part for setting in ("iterations=1", "data.crop=48", "data.batch=1") for part in ("--set", setting)]
    save_weights(TITA(SMALL), tmp_path / "small.safetensors")
    start = ["--init", str(tmp_path / "small.safetensors")] if begun else []
    assert main([*arguments, *photos, *small, *start]) == 0
    loaded = load_weights(tmp_path / "run" / "best.safetensors")
    assert isinstance(loaded, TITA)
    assert loaded.config == (SMALL if begun else TITAConfig())
    header = (tmp_path / "run" / "curves.csv").read_text("utf-8").splitlines()[0]
    assert header == "iteration,rate,modal,focus,exposure,weight_modal,weight_focus,weight_exposure"
    capsys.readouterr()
    for wrong, message in (
        ([], "TITA learns focus pairs, which are made from photographs: --photos DIR"),
        ([*photos, "--set", "balance=none"], "balance is 'none'; give one of famo, equal"),
        ([*photos, "--set", "losses.focus_target=x"], "losses.focus_target is 'x'"),
    ):
        assert main([*arguments[:3], "-o", str(tmp_path / "other"), "--network", "tita", *wrong, *small]) == 1
        assert message in capsys.readouterr().err


def test_weights_have_a_panel_of_their_own(tmp_path: Path) -> None:
    rows = [{"iteration": i, "rate": 1.0, "modal": 2.0 + i, "weight_modal": 0.3} for i in range(5)]
    heights = []
    for name, shown in (
        ("with", rows),
        ("without", [{k: v for k, v in row.items() if k != "weight_modal"} for row in rows]),
    ):
        draw(tmp_path / f"{name}.png", shown)
        heights.append(Image.open(tmp_path / f"{name}.png").height)
    assert heights[0] == 2 * heights[1]


def test_every_setting_is_documented_with_its_default() -> None:
    text = (ROOT / "docs" / "training.md").read_text("utf-8").split("## TITA")[1]

    def check(values: dict[str, object], prefix: str) -> None:
        for name, value in values.items():
            if isinstance(value, dict):
                check(value, f"{prefix}{name}.")
            else:
                shown = str(value) if not isinstance(value, tuple) else ", ".join(f"{each:g}" for each in value)
                assert f"| `{prefix}{name}` | {shown} |" in text, f"{prefix}{name}: {shown}"

    own = asdict(TITARecipe())
    for name, config in (("pairs", PairConfig()), ("losses", LossConfig()), ("famo", FAMOConfig())):
        check(asdict(config), f"{name}.")
    for name in ("iterations", "rate", "warmup", "clip", "balance"):
        check({name: own[name]}, "")
    for name in ("crop", "batch", "tone_share", "invert_share", "half_share"):
        check({name: own["data"][name]}, "data.")
    check({"noise_share": own["degradation"]["noise_share"]}, "degradation.")


def test_what_is_no_recipe() -> None:
    with pytest.raises(InputError, match="balance is 'x'"):
        TITARecipe(balance="x")
