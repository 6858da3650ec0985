"""The fast network's objective: it learns what the losses and the teacher say, and a run is resumed bit for bit."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import photo
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import gifnet
from gifnet.checkpoints.format import file_sha256, read_metadata, save_weights
from gifnet.cli import main
from gifnet.errors import CheckpointError
from gifnet.networks.fast import FastConfig, FastNetwork
from gifnet.networks.gifnet import GIFNet
from gifnet.training.objective import Sources
from gifnet.training.objectives.fast import FastObjective, FastRecipe
from gifnet.training.objectives.fast.lessons import Lessons
from gifnet.training.objectives.fast.recipe import TeacherConfig
from gifnet.training.recipe import build_recipe
from gifnet.training.tasks import EXPOSURE, MODAL, TaskBatch
from gifnet.training.trainer import Trainer

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fast")
    for start, name in enumerate(("ir", "vis", "photos", "dark", "bright")):
        (root / name).mkdir()
        for seed in range(2):
            Image.fromarray(photo(64, 72, 0, seed=10 * start + seed)).save(root / name / f"{seed}.png")
    return root


@pytest.fixture(scope="module")
def teacher(folders: Path, small_network: GIFNet) -> Path:
    path = folders / "teacher.safetensors"
    save_weights(small_network, path, {})
    return path


def objective(folders: Path, **settings: object) -> FastObjective:
    recipe = build_recipe(FastRecipe, {"data": {"crop": 48, "batch": 6}, **settings})
    sources = Sources(folders / "ir", folders / "vis", folders / "photos", (folders / "dark", folders / "bright"))
    return FastObjective.from_sources(recipe, sources, CPU)


def test_it_learns_what_the_teacher_says(folders: Path, teacher: Path) -> None:
    """With the teacher's part alone, the same pairs come ever nearer to its results."""
    alone = {"losses": {"multi_modal": 0, "exposure": 0, "photography": 0}}
    data = {"crop": 48, "batch": 3}
    made = objective(folders, data=data, teacher={"model": str(teacher), "every": 1, "structure": 0}, **alone)
    torch.manual_seed(0)
    model = made.start(FastNetwork(FastConfig(half=8, quarter=8)))
    batch = made.data.batch(0)
    assert isinstance(batch, TaskBatch)
    losses = [made.step(batch, 0, 6e-3)["taught"] for _ in range(12)]
    assert losses[-1] < 0.8 * losses[0]
    chosen = (batch.task == MODAL) | (batch.task == EXPOSURE)
    assert chosen.any()
    said = gifnet.load(teacher).fuse_planes(batch.a[chosen], batch.b[chosen])
    with torch.no_grad():
        near = (model(batch.a, batch.b)[chosen] - said).abs().mean()
        far = ((batch.a + batch.b)[chosen] / 2 - said).abs().mean()
    assert near < far


def test_every_task_is_learned_without_a_teacher(folders: Path) -> None:
    made = objective(folders, teacher={"every": 0})
    torch.manual_seed(0)
    model = made.start(FastNetwork(FastConfig(half=8, quarter=8)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fusing, enhancing = made.data.batch(0), made.data.batch(4)
    first = made.step(fusing, 0, 1e-3) | {"enhance": made.step(enhancing, 4, 1e-3)["enhance"]}
    for _ in range(10):
        last = made.step(fusing, 0, 1e-3) | {"enhance": made.step(enhancing, 4, 1e-3)["enhance"]}
    assert math.isnan(first["taught"])
    for name in ("modal", "focus", "exposure", "enhance"):
        assert last[name] < first[name], name
    assert all(not torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_teacher_speaks_at_its_rhythm(folders: Path, teacher: Path) -> None:
    made = objective(folders, teacher={"model": str(teacher), "every": 2})
    made.start(FastNetwork(FastConfig(half=4, quarter=4)))
    rows = [made.step(batch, i, 1e-3) for i, batch in enumerate(made.batches(0, 6))]
    assert [not math.isnan(row["taught"]) for row in rows] == [True, False, True, False, False, True]
    assert [not math.isnan(row["enhance"]) for row in rows] == [False, False, False, False, True, False]


def test_lessons_are_what_the_teacher_says(folders: Path, teacher: Path, tmp_path: Path) -> None:
    """Pairs of both tasks without a truth, of the larger side, fused by it; batches are parts of them."""
    said = {"model": str(teacher), "lessons": 6, "side": 56}
    made = objective(folders, teacher=said)
    made.prepare(tmp_path, progress=False)
    lessons = made.data.lessons
    assert lessons.planes.shape == (6, 3, 56, 56)
    assert set(lessons.tasks.tolist()) == {MODAL, EXPOSURE}
    a, b, fused = lessons.planes[2].float()[:, None, None]
    expected = gifnet.load(teacher).fuse_planes(a, b)
    # All are kept in float16, whose steps below 1 are 2**-11 at most, and the teacher is no straight line.
    torch.testing.assert_close(fused, expected, rtol=0, atol=3e-3)
    batch = made.data.batch(0)
    assert isinstance(batch, TaskBatch)
    chosen = (batch.task == MODAL) | (batch.task == EXPOSURE)
    windows = lessons.planes[:, ::2].float().unfold(2, 48, 1).unfold(3, 48, 1).flatten(2, 3)
    for part in torch.cat([batch.a, batch.target], dim=1)[chosen]:
        places = [(windows == turned[:, None]).all(dim=-1).all(dim=-1).all(dim=1).sum() for turned in _turned(part)]
        assert sum(places) == 1
    again = objective(folders, teacher=said)
    assert torch.equal(again.data.batch(4).x, made.data.batch(4).x)  # what it enhances has no teacher


def _turned(planes: Tensor) -> list[Tensor]:
    """In all eight ways."""
    return [turned for n in range(4) for turned in (planes.rot90(n, (1, 2)), planes.rot90(n, (1, 2)).flip(2))]


def test_lessons_are_kept_with_the_run(
    folders: Path, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resumed run reads them; one of other settings makes its own."""
    made = []
    original = Lessons.made

    def counted(count: int, *others: Any) -> Lessons:
        made.append(count)
        return original(count, *others)

    monkeypatch.setattr(Lessons, "made", counted)
    for lessons, side in ((3, 56), (3, 56), (3, 52), (4, 52)):
        trained = objective(folders, teacher={"model": str(teacher), "lessons": lessons, "side": side})
        trained.prepare(tmp_path, progress=False)
        trained.prepare(tmp_path, progress=False)
    assert made == [3, 3, 4]
    (tmp_path / "lessons.safetensors").write_bytes(b"damaged")
    trained = objective(folders, teacher={"model": str(teacher), "lessons": 4, "side": 52})
    trained.prepare(tmp_path, progress=False)
    assert made == [3, 3, 4, 4]


def test_it_learns_from_lessons(folders: Path, teacher: Path, tmp_path: Path) -> None:
    """With them alone it comes ever nearer to the teacher, and losses of weight 0 are not computed."""
    alone = {"losses": {"multi_modal": 0, "exposure": 0, "photography": 0}, "tasks": {"enhance_every": 0}}
    said = {"model": str(teacher), "lessons": 4, "side": 56, "structure": 0, "detail": 1}
    made = objective(folders, teacher=said, data={"crop": 48, "batch": 3}, **alone)
    made.prepare(tmp_path, progress=False)
    torch.manual_seed(0)
    made.start(FastNetwork(FastConfig(half=8, quarter=8)))
    batch = made.data.batch(0)
    rows = [made.step(batch, 0, 6e-3) for _ in range(12)]
    assert rows[-1]["taught"] < 0.8 * rows[0]["taught"]
    assert all(math.isnan(rows[0][name]) for name in ("modal", "exposure", "focus"))


def test_gifnet_train_makes_weights_as_any_others(folders: Path, teacher: Path, tmp_path: Path) -> None:
    done = main(
        ["train", str(folders / "ir"), str(folders / "vis"), "--photos", str(folders / "photos"),
         "--network", "gifnet-fast", "-o", str(tmp_path / "run"), "--device", "cpu", "--set", "iterations=3",
         "--set", "data.crop=48", "--set", "data.batch=3", "--set", f"teacher.model={teacher}"]
    )  # fmt: skip
    assert done == 0
    weights = tmp_path / "run" / "last.safetensors"
    assert gifnet.fuse(photo(40, 56, 0), photo(40, 56, 3, seed=1), model=weights).shape == (40, 56, 3)
    assert read_metadata(weights)["notes"]["teacher_sha256"] == file_sha256(teacher)


def test_a_run_is_resumed_bit_for_bit(folders: Path, teacher: Path, tmp_path: Path) -> None:
    def trainer(name: str) -> Trainer:
        (tmp_path / name).mkdir(exist_ok=True)
        torch.manual_seed(0)
        made = objective(folders, iterations=4, teacher={"model": str(teacher)})
        return Trainer(FastNetwork(FastConfig(half=4, quarter=4)), made, tmp_path / name)

    whole = trainer("whole")
    whole.run(progress=False)
    stopped = trainer("stopped")
    for batch in stopped.objective.batches(0, 2):
        stopped.step(batch)
    stopped.save()
    again = trainer("stopped")
    assert again.resume()
    assert again.iteration == 2
    again.run(progress=False)
    ours, theirs = (load_file(tmp_path / name / "state.safetensors") for name in ("stopped", "whole"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_teachers_that_are_none(folders: Path, teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(gifnet.InputError, match=r"teacher\.every=0"):
        TeacherConfig(model="")
    with pytest.raises(gifnet.InputError, match="lessons and every=0"):
        TeacherConfig(every=0, lessons=3)
    with pytest.raises(gifnet.InputError, match=r"teacher\.side: 80, but none of the pairs"):
        objective(folders, teacher={"model": str(teacher), "lessons": 2, "side": 80}).prepare(tmp_path, progress=False)
    for wrong, match in (
        ({"teacher": {"lessons": 1, "side": 56}}, "1 leave a task without one"),
        ({"teacher": {"lessons": 2, "side": 56}, "tasks": {"modal": 0, "exposure": 0}}, "both 0; there is nothing"),
    ):
        wrong["teacher"]["model"] = str(teacher)
        with pytest.raises(gifnet.InputError, match=match):
            objective(folders, **wrong).prepare(tmp_path, progress=False)
    with pytest.raises(CheckpointError, match="no such file"):
        objective(folders, teacher={"model": "./none.safetensors"})
