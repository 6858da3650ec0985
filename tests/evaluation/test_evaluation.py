"""Folders of pairs measured: pairing, models, what fails, and what is written of it."""

import argparse
import csv
import io
import json
import math
import re
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import EXAMPLES, ROOT
from numpy.typing import NDArray
from PIL import Image

import gifnet
import gifnet.metrics as gm
from gifnet import InputError
from gifnet.cli import evaluate
from gifnet.cli.flags import WrongUsage
from gifnet.evaluation import (
    Evaluation,
    Failure,
    FusedImages,
    Score,
    SetsEvaluation,
    Summary,
    evaluate_folders,
    evaluate_sets,
    plot,
)

METRICS = ("EI", "SCD", "PSNR")  # one of the fused image alone, one of all three, one of torchmetrics
SIZE = (60, 50)  # width, height

Pixels = NDArray[np.uint8]


def grey(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, size[::-1], dtype=np.uint8)


def coloured(seed: int, size: tuple[int, int] = SIZE) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)


def luminance(pixels: Pixels) -> torch.Tensor:
    values = pixels if pixels.ndim == 2 else pixels @ np.array([0.299, 0.587, 0.114])
    return torch.tensor(values / 255)[None, None].float()


class Mean:
    """In a model's place: the mean of both images, in grey."""

    def fuse(self, a: str, b: str, /) -> Image.Image:
        return Image.fromarray(self.pixels(*(np.asarray(Image.open(path).convert("L")) for path in (a, b))))

    @staticmethod
    def pixels(a: Pixels, b: Pixels) -> Pixels:
        return ((a.astype(int) + b) // 2).astype(np.uint8)


class First(Mean):
    """Keeps the first image."""

    @staticmethod
    def pixels(a: Pixels, b: Pixels) -> Pixels:
        return a


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three pairs, of grey images but for one, with suffixes that differ."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a, b):
        folder.mkdir()
    for i in range(3):
        Image.fromarray(grey(i)).save(a / f"pair_{i}.png")
        Image.fromarray(coloured(10) if i == 0 else grey(10 + i)).save(b / f"pair_{i}.{'bmp' if i else 'tif'}")
    (a / "README.md").write_text("not an image")
    (a / ".hidden.png").write_text("nor this")
    (b / "pair_0").mkdir()
    return a, b


def measured(fused: Pixels, a: Pixels, b: Pixels) -> dict[str, float]:
    values = gm.evaluate(*(luminance(pixels) for pixels in (fused, a, b)), names=METRICS)
    return {name: float(value) for name, value in values.items()}


def test_fused_folder(folders: tuple[Path, Path], tmp_path: Path) -> None:
    fused = tmp_path / "results"
    fused.mkdir()
    for i in range(3):
        Image.fromarray(coloured(20 + i)).save(fused / f"pair_{i}.webp", lossless=True)
    Image.fromarray(grey(99)).save(fused / "another.png")
    result = evaluate_folders(*folders, FusedImages(fused), METRICS, progress=False)
    assert result.models == ("results",)
    assert result.metrics == METRICS
    assert result.pairs == 3
    assert result.failures == ()
    assert [score.pair for score in result.scores] == ["pair_0", "pair_1", "pair_2"]
    for i, score in enumerate(result.scores):
        expected = measured(coloured(20 + i), grey(i), grey(10 + i) if i else coloured(10))
        assert score.values == pytest.approx(expected, rel=1e-4)
    for name in METRICS:
        values = [score.values[name] for score in result.scores]
        found = result.summary("results", name)
        assert (found.mean, found.deviation, found.count) == pytest.approx((np.mean(values), np.std(values), 3))


def test_models(folders: tuple[Path, Path]) -> None:
    result = evaluate_folders(*folders, models={"mean": Mean(), "first": First()}, metrics=METRICS, progress=False)
    assert result.models == ("mean", "first")
    assert result.failures == ()
    scores = {(score.model, score.pair): score.values for score in result.scores}
    assert len(scores) == 6
    a, b = grey(1), grey(11)
    assert scores["mean", "pair_1"] == pytest.approx(measured(Mean.pixels(a, b), a, b), rel=1e-4)
    assert scores["first", "pair_1"] == pytest.approx(measured(a, a, b), rel=1e-4)


@pytest.mark.parametrize("kind", ["none", "name", "list", "mapping"])
def test_models_by_name(kind: str, tmp_path: Path) -> None:
    """The bundled weights, on a real pair; a copy of them under another name."""
    a, b = tmp_path / "a", tmp_path / "b"
    crops = []
    for folder, letter in ((a, "a"), (b, "b")):
        folder.mkdir()
        crops.append(Image.open(EXAMPLES / f"focus_{letter}.jpg").crop((250, 150, 346, 230)))
        crops[-1].save(folder / "focus.png")
    copy = tmp_path / "copy.safetensors"
    shutil.copy(ROOT / "weights" / "gifnet.safetensors", copy)
    models = {"none": (), "name": "gifnet", "list": ["gifnet", copy], "mapping": {"ours": copy}}[kind]
    result = evaluate_folders(a, b, models=models, metrics=["EI", "SCD"], progress=False, device="cpu", dtype="float32")
    labels = {"none": ("gifnet",), "name": ("gifnet",), "list": ("gifnet", str(copy)), "mapping": ("ours",)}[kind]
    assert result.models == labels
    assert result.failures == ()
    fused = gifnet.load(device="cpu", dtype="float32").fuse(*crops)
    values = gm.evaluate(*(luminance(np.asarray(image)) for image in (fused, *crops)), names=["EI", "SCD"])
    assert len(result.scores) == len(labels)
    for score in result.scores:
        assert score.values == pytest.approx({name: float(value) for name, value in values.items()}, rel=1e-4)


def test_default_metrics_suit_the_size(folders: tuple[Path, Path]) -> None:
    """All metrics of a pair; MS-SSIM needs 176 pixels, so these pairs don't have it."""
    result = evaluate_folders(*folders, models={"mean": Mean()}, progress=False)
    assert set(result.metrics) == {
        name for name, metric in gm.METRICS.items() if set(metric.inputs) <= {"fused", "a", "b"}
    }
    assert result.failures == ()
    assert all(set(score.values) == set(result.metrics) - {"MS-SSIM"} for score in result.scores)
    assert result.summary("mean", "MS-SSIM").count == 0
    assert re.search(r"^MS-SSIM ↑ +–$", result.table(), re.MULTILINE)


def damage(folders: tuple[Path, Path]) -> None:
    """Everything that can be wrong with a pair, beside the three that are right."""
    a, b = folders
    Image.fromarray(grey(0)).save(a / "alone_a.png")
    Image.fromarray(grey(0)).save(b / "alone_b.png")
    for folder in folders:
        Image.fromarray(grey(0)).save(folder / "broken.png")
    (b / "broken.png").write_bytes((b / "broken.png").read_bytes()[:300])
    (a / "text.png").write_text("no image")
    Image.fromarray(grey(0)).save(b / "text.png")
    Image.fromarray(grey(0)).save(a / "sizes.png")
    Image.fromarray(grey(0, (61, 50))).save(b / "sizes.png")
    Image.fromarray(grey(0)).save(a / "twice.png")
    Image.fromarray(grey(0)).save(a / "twice.bmp")
    Image.fromarray(grey(0)).save(b / "twice.png")


def test_what_fails_is_recorded_and_the_rest_measured(folders: tuple[Path, Path]) -> None:
    damage(folders)
    a, b = folders
    result = evaluate_folders(a, b, models={"mean": Mean(), "first": First()}, metrics=METRICS, progress=False)
    assert result.pairs == 9
    assert {score.pair for score in result.scores} == {"pair_0", "pair_1", "pair_2"}
    assert len(result.scores) == 6
    found = {failure.pair: (failure.path, failure.reason) for failure in result.failures}
    assert len(result.failures) == 6, "once, not once a model"
    assert found["alone_a"] == (str(b), "no image is named alone_a")
    assert found["alone_b"] == (str(a), "no image is named alone_b")
    assert found["broken"][0] == str(b / "broken.png")
    assert "can't be read" in found["broken"][1]
    assert found["text"][0] == str(a / "text.png")
    assert str(a) not in found["text"][1], "the path is said once"
    assert found["sizes"] == (str(b / "sizes.png"), f"61×50 pixels, but {a / 'sizes.png'} is 60×50")
    assert found["twice"] == (str(a), "several images are named twice: twice.bmp, twice.png")
    for text in (result.table(), result.markdown()):
        assert "over 3 of 9 pairs" in text
        assert "6 failed" in text
        assert all(f"{pair}: {path}: {reason}" in text for pair, (path, reason) in found.items())


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InputError("too odd"), "too odd"),
        (RuntimeError("out of\nmemory"), "out of memory"),
        (MemoryError(), "MemoryError"),
        (OSError("disk"), "disk"),
    ],
)
def test_a_model_that_fails_on_one_pair(folders: tuple[Path, Path], error: Exception, reason: str) -> None:
    class Failing(Mean):
        def fuse(self, a: str, b: str, /) -> Image.Image:
            if "pair_1" in a:
                raise error
            return super().fuse(a, b)

    result = evaluate_folders(*folders, models={"mean": Mean(), "failing": Failing()}, metrics=METRICS, progress=False)
    assert len(result.scores) == 5
    assert result.failures == (Failure("pair_1", str(folders[0] / "pair_1.png"), reason, "failing"),)
    assert "over 3 (mean), 2 (failing) of 3 pairs" in result.table()
    assert "pair_1 (failing): " in result.table()


def test_a_mistake_in_a_model_is_not_swallowed(folders: tuple[Path, Path]) -> None:
    class Wrong(Mean):
        def fuse(self, a: str, b: str, /) -> Image.Image:
            raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        evaluate_folders(*folders, models={"wrong": Wrong()}, metrics=METRICS, progress=False)


def test_fused_images_that_do_not_fit(folders: tuple[Path, Path], tmp_path: Path) -> None:
    fused = tmp_path / "fused"
    fused.mkdir()
    Image.fromarray(grey(5)).save(fused / "pair_0.png")
    Image.fromarray(grey(5, (59, 50))).save(fused / "pair_1.png")
    result = evaluate_folders(*folders, FusedImages(fused), METRICS, progress=False)
    assert [score.pair for score in result.scores] == ["pair_0"]
    reasons = {failure.pair: failure.reason for failure in result.failures}
    assert reasons == {
        "pair_1": "60×50 pixels, but its fused image is 59×50",
        "pair_2": "no image is named pair_2",
    }


def test_a_metric_that_was_asked_for_and_does_not_fit(folders: tuple[Path, Path]) -> None:
    result = evaluate_folders(*folders, models={"mean": Mean()}, metrics=["MS-SSIM"], progress=False)
    assert result.scores == ()
    assert "60×50 pixels are too small: this metric needs 176 a side" in result.failures[0].reason


def test_what_is_wrong_from_the_start(folders: tuple[Path, Path], tmp_path: Path) -> None:
    a, b = folders
    with pytest.raises(InputError, match="nowhere: no such folder"):
        evaluate_folders(a, tmp_path / "nowhere", progress=False)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        evaluate_folders(a, b, FusedImages(tmp_path / "nowhere"), progress=False)
    with pytest.raises(InputError, match="several models are named a; give each"):
        evaluate_folders(a, b, [FusedImages(a), FusedImages(tmp_path / "b" / ".." / "a")], progress=False)
    with pytest.raises(InputError, match="no metric is named 'XX'"):
        evaluate_folders(a, b, FusedImages(a), metrics=["XX"], progress=False)
    with pytest.raises(InputError, match=r"none\.safetensors"):
        evaluate_folders(a, b, models=[tmp_path / "none.safetensors"], progress=False)


def test_torchmetrics_is_missed_before_the_work(folders: tuple[Path, Path], hide: Callable[[str], None]) -> None:
    hide("torchmetrics")

    class Untouched(Mean):
        def fuse(self, a: str, b: str, /) -> Image.Image:
            pytest.fail("it should not come to a fusion")

    with pytest.raises(ImportError, match=r"gifnet\[metrics\]"):
        evaluate_folders(*folders, models={"m": Untouched()}, progress=False)
    assert len(evaluate_folders(*folders, models={"m": Mean()}, metrics=["EI"], progress=False).scores) == 3


def test_progress_bar(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    evaluate_folders(*folders, models={"mean": Mean()}, metrics=["EI"], progress=False)
    assert capsys.readouterr().err == ""
    evaluate_folders(*folders, models={"mean": Mean()}, metrics=["EI"])
    captured = capsys.readouterr()
    assert "3/3" in captured.err
    assert captured.out == ""


# What is written


@pytest.fixture
def example() -> Evaluation:
    """Two models on two pairs, with an infinite and an undefined value."""
    scores = (
        Score("x|y", "p", {"EI": 80.0, "Nabf": 0.1, "PSNR": math.inf, "VIF": math.nan}),
        Score("x|y", "q", {"EI": 90.0, "Nabf": 0.3, "PSNR": 20.0, "VIF": math.nan}),
        Score("z", "p", {"EI": 70.0, "Nabf": 0.1, "PSNR": 30.0, "VIF": 1.0}),
        Score("z", "q", {"EI": 71.0, "Nabf": 0.2, "PSNR": 20.0, "VIF": 1.5}),
    )
    failures = (Failure("r", "b/r.png", "not an image"),)
    return Evaluation(("x|y", "z"), ("EI", "Nabf", "PSNR", "VIF"), 3, scores, failures)


def test_summary() -> None:
    assert Summary.of([1.0, 3.0, math.inf, math.nan]) == Summary(2.0, 1.0, 2)
    nothing = Summary.of([math.nan])
    assert nothing.count == 0
    assert math.isnan(nothing.mean)


def test_table(example: Evaluation) -> None:
    assert example.table().splitlines() == [
        "        x|y                   z",
        "EI ↑    85.00 ± 5.00          70.50 ± 0.50",
        "Nabf ↓  0.200 ± 0.100         0.150 ± 0.050",
        "PSNR ↑  20.00 ± 0.00 (n = 1)  25.00 ± 5.00",
        "VIF ↑   –                     1.250 ± 0.250",
        "",
        "Mean ± deviation over 2 of 3 pairs.",
        "",
        "1 failed:",
        "",
        "  r: b/r.png: not an image",
    ]


def test_markdown(example: Evaluation) -> None:
    assert example.markdown().splitlines() == [
        "|  | x\\|y | z |",
        "| --- | ---: | ---: |",
        "| EI ↑ | **85.00 ± 5.00** | 70.50 ± 0.50 |",
        "| Nabf ↓ | 0.200 ± 0.100 | **0.150 ± 0.050** |",
        "| PSNR ↑ | 20.00 ± 0.00 (n = 1) | **25.00 ± 5.00** |",
        "| VIF ↑ | – | **1.250 ± 0.250** |",
        "",
        "Mean ± deviation over 2 of 3 pairs.",
        "",
        "1 failed:",
        "",
        "- r: b/r.png: not an image",
    ]


def test_csv(example: Evaluation) -> None:
    rows = list(csv.DictReader(io.StringIO(example.csv())))
    assert len(rows) == 8
    assert rows[0] == {
        "model": "x|y", "metric": "EI", "better": "higher", "mean": "85.0", "deviation": "5.0", "count": "2",
    }  # fmt: skip
    assert rows[1]["better"] == "lower"
    assert (rows[3]["mean"], rows[3]["deviation"], rows[3]["count"]) == ("", "", "0")


def test_json(example: Evaluation) -> None:
    text = example.json()
    assert "NaN" not in text
    assert "Infinity" not in text
    document = json.loads(text)
    assert document["pairs"] == 3
    assert document["metrics"]["Nabf"] == {"better": "lower"}
    assert document["models"]["z"]["PSNR"] == {"mean": 25.0, "deviation": 5.0, "count": 2}
    assert document["models"]["x|y"]["VIF"] == {"mean": None, "deviation": None, "count": 0}
    assert document["scores"][0]["values"] == {"EI": 80.0, "Nabf": 0.1, "PSNR": None, "VIF": None}
    assert document["failures"] == [{"pair": "r", "path": "b/r.png", "reason": "not an image", "model": None}]


def test_plot(example: Evaluation, tmp_path: Path) -> None:
    plot(example, tmp_path / "plot.png")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG"
        assert min(image.size) > 200
        assert len(np.unique(np.asarray(image.convert("RGB")).reshape(-1, 3), axis=0)) > 10, (
            "bars of two colours and text, not a blank"
        )
    assert [path.name for path in tmp_path.iterdir()] == ["plot.png"]


def test_plots_that_can_not_be(example: Evaluation, tmp_path: Path, hide: Callable[[str], None]) -> None:
    with pytest.raises(InputError, match=r"unknown suffix '\.jpg'; use \.png"):
        plot(example, tmp_path / "plot.jpg")
    with pytest.raises(InputError, match="does not exist"):
        plot(example, tmp_path / "no" / "plot.png")
    with pytest.raises(InputError, match="nothing to plot"):
        plot(Evaluation(("m",), ("EI",), 0, (), ()), tmp_path / "plot.png")
    hide("matplotlib")
    with pytest.raises(ImportError, match=r"pip install 'gifnet\[train\]'"):
        plot(example, tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


# The command


def run(*arguments: object) -> int:
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    try:
        return evaluate.run(parser.parse_args([str(argument) for argument in arguments]))
    except WrongUsage as error:
        parser.error(str(error))


def test_command(folders: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    out.mkdir()
    files = [item for kind in ("markdown", "csv", "json") for item in (f"--{kind}", out / f"table.{kind}")]
    status = run(*folders, "--fused", folders[0], "--metrics", *METRICS, *files, "--plot", out / "plot.png")
    captured = capsys.readouterr()
    assert status == 0
    expected = evaluate_folders(*folders, FusedImages(folders[0]), METRICS, progress=False)
    assert captured.out == expected.table()
    assert "3/3" in captured.err
    assert (out / "table.markdown").read_text(encoding="utf-8") == expected.markdown()
    assert (out / "table.csv").read_text(encoding="utf-8") == expected.csv()
    assert (out / "table.json").read_text(encoding="utf-8") == expected.json()
    assert Image.open(out / "plot.png").format == "PNG"


def test_command_without_a_model_measures_the_bundled_one(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*folders, "--metrics", "EI", "--quiet") == 0
    expected = evaluate_folders(*folders, "gifnet", ("EI",), progress=False)
    assert expected.summary("gifnet", "EI").mean > 0
    assert capsys.readouterr().out == expected.table()


def test_command_with_failures(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    damage(folders)
    assert run(*folders, "--fused", folders[0], "--metrics", "EI", "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "over 3 of 9 pairs" in captured.out
    assert "6 failed:" in captured.out


def test_command_without_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, tmp_path, "--fused", tmp_path, "--plot", tmp_path / "p.png", "--quiet") == 1
    assert "over 0 of 0 pairs" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "no/such/folder/x.json"], "the folder no/such/folder does not exist"),
        (["--csv", "."], "is a folder"),
        (["--plot", "plot.pdf"], "use .png"),
        (["--metrics", "QNR"], "QNR takes fused, ms, pan"),
    ],
)
def test_command_refuses_before_the_work(
    folders: tuple[Path, Path], arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=message):
        run(*folders, "--fused", folders[0], *arguments)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", ""), "no progress bar was shown"


@pytest.mark.parametrize("arguments", [[], ["a"], ["a", "b", "--sets", "c"], ["a", "--sets", "c"]])
def test_command_takes_two_folders_or_sets(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_status:
        run(*arguments, "--model", "gifnet")
    assert exit_status.value.code == 2
    assert "give A_DIR and B_DIR, or --sets DIR" in capsys.readouterr().err


def test_command_keeps_the_order_and_the_names(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folders
    assert run(a, b, "--fused", f"second={b}", a, "--metrics", "EI", "--quiet", "--fused", f"again={a}") == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["second", "a", "again"]
    with pytest.raises(InputError, match="one name"):
        run(a, b, "--fused", f"x={b}", "--model", "x=gifnet")


def test_a_terminal_without_arrows(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert run(*folders, "--fused", folders[0], "--metrics", "EI", "--quiet") == 0
    stream.flush()
    assert b"EI ?" in stream.buffer.getvalue()  # type: ignore[attr-defined]


# Sets


@pytest.fixture
def sets(tmp_path: Path) -> Path:
    """Two sets of two pairs, the second one's with colour; and what is no set."""
    root = tmp_path / "sets"
    for number, (name, make) in enumerate((("first", grey), ("second", coloured))):
        for letter, seed in (("a", 0), ("b", 50)):
            (root / name / letter).mkdir(parents=True)
            for i in range(2):
                Image.fromarray(make(number + i + seed)).save(root / name / letter / f"{i}.png")
    (root / "none" / "a").mkdir(parents=True)
    (root / "README.md").write_text("no set")
    return root


def test_sets(sets: Path) -> None:
    models = {"mean": Mean(), "first": First()}
    result = evaluate_sets(sets, models, METRICS, progress=False)
    assert list(result.sets) == ["first", "second"]
    assert result.models == ("mean", "first")
    assert result.metrics == METRICS
    assert result.failures == ()
    for name, found in result.sets.items():
        assert found == evaluate_folders(sets / name / "a", sets / name / "b", models, METRICS, progress=False)
    assert len(result.scores) == 8


def test_saved_images_are_measured_as_the_models_were(sets: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    models = {"mean": Mean(), "../first": First()}
    made = evaluate_sets(sets, models, METRICS, kept, progress=False)
    files = sorted(str(path.relative_to(kept)) for path in kept.rglob("*.png"))
    assert files == [f"{model}/{name}/{i}.png" for model in ("_._first", "mean") for name in made.sets for i in (0, 1)]
    again = {"mean": FusedImages(kept / "mean"), "../first": FusedImages(kept / "_._first")}
    assert evaluate_sets(sets, again, METRICS, progress=False) == made
    pairs = evaluate_folders(sets / "first" / "a", sets / "first" / "b", {"m": Mean()}, ["EI"], kept, progress=False)
    assert len(pairs.scores) == 2
    assert (kept / "m" / "0.png").read_bytes() == (kept / "mean" / "first" / "0.png").read_bytes()


def test_what_is_wrong_with_sets(sets: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a set is a subfolder"):
        evaluate_sets(sets / "first", FusedImages(sets), progress=False)
    with pytest.raises(InputError, match="nowhere: no such folder"):
        evaluate_sets(tmp_path / "nowhere", progress=False)
    (tmp_path / "fused" / "first").mkdir(parents=True)
    with pytest.raises(InputError, match=r"fused.second: no such folder"):
        evaluate_sets(sets, FusedImages(tmp_path / "fused"), progress=False)
    with pytest.raises(InputError, match="would be saved as x_y"):
        evaluate_sets(sets, {"x/y": Mean(), "x:y": First()}, ["EI"], tmp_path / "kept", progress=False)


def sets_example(models: tuple[str, ...]) -> SetsEvaluation:
    values = {
        "u": {"EI": (50.0, 40.0), "Nabf": (0.1, 0.2), "SCD": (1.0, -0.5)},
        "v": {"EI": (30.0, 40.0), "Nabf": (0.3, 0.2), "SCD": (math.nan, 1.0)},
    }
    return SetsEvaluation(
        {
            name: Evaluation(
                models,
                ("EI", "Nabf", "SCD"),
                1,
                tuple(
                    Score(model, "p", {metric: pair[column] for metric, pair in metrics.items()})
                    for column, model in enumerate(models)
                ),
                (),
            )
            for name, metrics in values.items()
        }
    )


def test_tables_of_sets() -> None:
    example = sets_example(("x", "y"))
    assert example.table().split("All sets, means\n\n")[1].splitlines() == [
        "          EI ↑   Nabf ↓  SCD ↑",
        "u  x      50.00  0.100   1.000",
        "u  y      40.00  0.200   -0.500",
        "u  x / y  125%   50%     –",
        "v  x      30.00  0.300   –",
        "v  y      40.00  0.200   1.000",
        "v  x / y  75%    150%    –",
        "",
        "x is better than y in 3 of 5.",
    ]
    assert example.table().startswith("u\n\n" + example.sets["u"].table() + "\nv\n\n")
    markdown = example.markdown().splitlines()
    assert markdown[2:6] == [
        "| set | model | EI ↑ | Nabf ↓ | SCD ↑ |",
        "| --- | --- | ---: | ---: | ---: |",
        "| u | x | **50.00** | **0.100** | **1.000** |",
        "| u | y | 40.00 | 0.200 | -0.500 |",
    ]
    assert "x is better than y in 3 of 5." in markdown
    assert example.markdown().endswith("## v\n\n" + example.sets["v"].markdown())
    rows = list(csv.DictReader(io.StringIO(example.csv())))
    assert len(rows) == 12
    assert (rows[6]["set"], rows[6]["model"], rows[6]["metric"], rows[6]["mean"]) == ("v", "x", "EI", "30.0")
    document = json.loads(example.json())
    assert document["sets"]["u"] == json.loads(example.sets["u"].json())
    assert document["ratios"] == {
        "u": {"EI": 1.25, "Nabf": 0.5, "SCD": None},
        "v": {"EI": 0.75, "Nabf": pytest.approx(1.5), "SCD": None},
    }


def test_tables_of_sets_with_one_model() -> None:
    example = sets_example(("x",))
    assert "better" not in example.table()
    assert "%" not in example.table()
    assert "ratios" not in json.loads(example.json())
    assert "| u | x | 50.00 | 0.100 | 1.000 |" in example.markdown().splitlines()


def test_command_with_sets(sets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept, out = tmp_path / "kept", tmp_path / "out"
    out.mkdir()
    expected = evaluate_sets(sets, {"mean": Mean(), "first": First()}, METRICS, kept, progress=False)
    files = [item for kind in ("markdown", "csv", "json") for item in (f"--{kind}", out / f"table.{kind}")]
    fused = ["--fused", kept / "mean", kept / "first", "--metrics", *METRICS]
    assert run("--sets", sets, *fused, *files, "--plot", out / "plot.png", "--quiet") == 0
    assert capsys.readouterr().out == expected.table()
    for kind in ("markdown", "csv", "json"):
        assert (out / f"table.{kind}").read_text(encoding="utf-8") == getattr(expected, kind)()
    with Image.open(out / "plot.png") as image:
        assert image.width > image.height > 200, "three panels a set, two sets"


def test_pan_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example that makes a set of bands: each image from its own 0.1st to 99.9th percentile."""
    tifffile = pytest.importorskip("tifffile")
    rng = np.random.default_rng(0)
    ms, pan = rng.integers(0, 2000, (40, 60, 3), np.uint16), rng.integers(300, 4000, (80, 120), np.uint16)
    ms[..., 2] = np.arange(60, dtype=np.uint16) * 7 + 11
    for name, image in (("ms", ms), ("pan", pan)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "x.tif", image)
    script, out = ROOT / "examples" / "pan_pairs.py", tmp_path / "out"
    monkeypatch.setattr(sys, "argv", [str(script), *(str(tmp_path / name) for name in ("ms", "pan", "out"))])
    runpy.run_path(str(script), run_name="__main__")
    names = [f"x_band{k}.png" for k in (1, 2, 3)]
    assert sorted(path.name for path in (out / "a").iterdir()) == names
    panchromatic = np.asarray(Image.open(out / "b" / names[2]))
    low, high = np.percentile(pan, (0.1, 99.9))
    np.testing.assert_allclose(panchromatic, ((pan - low) / (high - low) * 255).clip(0, 255), atol=0.501)
    band = np.asarray(Image.open(out / "a" / names[2])).astype(int)
    assert band.shape == pan.shape
    # A ramp stays one, from end to end.
    assert (band.min(), band.max()) == (0, 255)
    assert (np.diff(band, axis=1) >= 0).all()
