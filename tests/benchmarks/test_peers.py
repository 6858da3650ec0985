"""benchmarks/peers.py: what its scenes, scores and table promise, and the command from end to end."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, photo
from PIL import Image

pytest.importorskip("cv2")
sys.path.insert(0, str(ROOT / "benchmarks"))

import peers
from comparison import methods, planes, scenes, scores
from comparison.table import Table


def picture(height: int, width: int, seed: int = 0) -> scenes.Array:
    """Something like a photograph, R, G, B in [0, 1]."""
    return photo(height, width, channels=3, seed=seed) / 255.0


def save(path: Path, image: scenes.Array) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    scenes.write(path, image)
    return path


def scene(folder: Path, truth: scenes.Array) -> scenes.Scene:
    save(folder / "truth.png", truth)
    return scenes.Scene(folder)


# Scenes


def test_a_disc_has_its_radius() -> None:
    for radius in (0.5, 1.5, 3.0, 6.5):
        kernel = scenes.disc(radius)
        assert kernel.sum() == pytest.approx(1, abs=1e-12)
        assert 1 / kernel.max() == pytest.approx(np.pi * radius**2, rel=0.1, abs=0.25)  # its area in pixels


def test_linear_light_and_back() -> None:
    values = np.linspace(0, 1, 256)
    assert scenes.to_srgb(scenes.to_light(values)) == pytest.approx(values, abs=1e-7)
    assert float(scenes.to_light(np.array(0.5))) == pytest.approx(0.21404, abs=1e-5)  # IEC 61966-2-1


def test_every_part_of_the_scene_is_sharp_in_one_frame() -> None:
    truth = picture(160, 200)
    frames = np.stack(list(scenes.focus_stack(truth, 5, 1.5, np.random.default_rng(0))))
    errors = np.abs(frames - truth).max(axis=3)
    assert np.median(errors.min(axis=0)) < 0.3 * np.median(errors, axis=(1, 2)).min()  # of the sharpest frame; of one
    light = scenes.to_light(frames).mean(axis=(1, 2, 3))
    assert light == pytest.approx(scenes.to_light(truth).mean(), rel=0.02)  # a lens spreads light, and loses none


def test_the_first_frame_does_not_breathe() -> None:
    frame = picture(60, 80)
    assert scenes.breathe(frame, 0, np.random.default_rng(0)) == pytest.approx(frame, abs=1e-9)
    assert np.abs(scenes.breathe(frame, 3, np.random.default_rng(0)) - frame).max() > 0.02


def test_the_middle_exposure_is_the_photograph(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.png", picture(40, 50))
    made = {len(item.frames): item for item in scenes.bracket_scenes([path], tmp_path / "work")}
    dark, middle, bright = (scenes.read(frame) for frame in made[3].frames)
    assert np.array_equal(middle, made[3].truth)
    assert dark.mean() < middle.mean() < bright.mean()
    light = scenes.to_light(middle)
    unclipped = light < 0.2
    assert scenes.to_light(bright)[unclipped] == pytest.approx(4 * light[unclipped], abs=0.01)
    assert [frame.read_bytes() for frame in made[2].frames] == [made[3].frames[i].read_bytes() for i in (0, 2)]


def test_a_set_is_made_once_and_anew_for_other_photographs(tmp_path: Path) -> None:
    path = save(tmp_path / "photo.png", picture(64, 64))
    first = scenes.focus_scenes([path], tmp_path, 21)
    stamps = [frame.stat().st_mtime_ns for item in first for frame in item.frames]
    again = scenes.focus_scenes([path], tmp_path, 21)
    assert again == first
    assert [frame.stat().st_mtime_ns for item in again for frame in item.frames] == stamps
    save(path, picture(64, 64, seed=1))
    assert scenes.focus_scenes([path], tmp_path, 21) != first
    assert scenes.focus_scenes([path], tmp_path, 22) != scenes.focus_scenes([path], tmp_path, 21)


# Scores


def test_psnr_by_hand(tmp_path: Path) -> None:
    truth = np.full((20, 20, 3), 0.4)
    off = truth.copy()
    off[..., 0] += 0.1  # red, a third of the values, weighs 0.299 in luma
    found = scores.against_truth(off, scene(tmp_path, truth))
    assert found["PSNR"] == pytest.approx(20 + 10 * np.log10(3), abs=1e-6)
    assert found["PSNR luma"] == pytest.approx(20 - 20 * np.log10(0.299), abs=1e-6)
    assert scores.against_truth(truth, scene(tmp_path, truth))["PSNR"] == np.inf
    with pytest.raises(ValueError, match="has shape"):
        scores.against_truth(off[1:], scene(tmp_path, truth))


def test_the_truth_is_found_on_another_grid(tmp_path: Path) -> None:
    """A frame scaled, shifted and cut: only interpolation is left of the difference."""
    truth = picture(240, 320)
    moved = scenes.breathe(truth, 3, np.random.default_rng(4))[11:-6, 5:-17]
    known = scene(tmp_path, truth)
    assert scores.against_moved_truth(moved, known)["PSNR"] > 45
    noisy = moved + np.random.default_rng(0).normal(0, 0.02, moved.shape)
    assert scores.against_moved_truth(noisy, known)["PSNR"] == pytest.approx(-20 * np.log10(0.02), abs=0.2)


def test_colours_of_the_truth_and_of_a_paler_image(tmp_path: Path) -> None:
    truth = np.round((0.3 + 0.3 * picture(40, 60)) * np.array([1.2, 0.9, 0.5]) * 255) / 255
    same = scores.colours(truth, scene(tmp_path, truth))
    assert same == pytest.approx({"hue error": 0, "saturation": 1, "deviation of saturation": 0}, abs=1e-6)
    grey = (truth @ scores.LUMA)[..., None]
    assert scores.colours(grey + (truth - grey) / 2, scenes.Scene(tmp_path))["saturation"] == pytest.approx(
        0.5, abs=0.1
    )


def test_overshoot() -> None:
    truth = np.zeros((32, 32))
    truth[:, 16:] = 0.5
    halo = truth.copy()
    halo[:, 16] += 0.1  # one column of 32 leaves the range, by 25.5 levels
    assert planes.overshoot(halo, truth) == pytest.approx(25.5 / 32, abs=1e-9)
    assert planes.overshoot(truth, truth) == 0


# The table


def test_the_best_of_each_row_is_bold() -> None:
    table = Table(["x", "y", "z"], notes=["not found: z"])
    table.put("focus", "x", {"PSNR": 31.004, "saturation": 0.9})
    table.put("focus", "y", {"PSNR": 31.0, "saturation": 1.05})
    table.put("alone", "z", {"hue error": 3.0})
    assert table.markdown().splitlines()[2:] == [
        "| focus | PSNR, dB | **31.00** | **31.00** | – |",
        "|  | saturation | 0.900 | **1.050** | – |",
        "| alone | hue error, degrees | – | – | 3.00 |",
        "",
        "* not found: z",
    ]


# The command


@pytest.mark.slow
def test_from_end_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Small photographs, gifnet's own weights, and a peer that fails; a second run makes nothing."""
    for index in range(2):
        save(tmp_path / "photos" / f"{index}.png", picture(72, 88, seed=index))
        for name, gain in (("a", 0.5), ("b", 1.5)):
            save(tmp_path / "exposures" / name / f"{index}.png", picture(72, 88, seed=index) * gain)
    failing = tmp_path / "enfuse"
    failing.write_text("#!/bin/sh\necho no memory >&2\nexit 3\n")
    failing.chmod(0o755)
    command = ["peers.py", "--photos", str(tmp_path / "photos"), "--exposures", str(tmp_path / "exposures")]
    command += ["--work", str(tmp_path / "work"), "--count", "2", "--json", str(tmp_path / "all.json")]
    command += ["--enfuse", str(failing), "--openfocus", str(tmp_path / "nowhere"), "--model", "mine=gifnet"]
    monkeypatch.setattr(sys, "argv", [*command, "--tasks", "focus", "exposures", "brackets", "planes"])
    peers.main()
    printed = capsys.readouterr().out
    document = json.loads((tmp_path / "all.json").read_text())
    rows = {(row["task"], row["measure"]): row["values"] for row in document["rows"]}
    assert printed.splitlines()[0] == "| task | measure | mine | enfuse | OpenCV Mertens | mean |"
    assert set(rows["focus, 5 frames, seed 21", "PSNR"]) == {"mine", "mean"}
    assert set(rows["exposure pairs", "MEF-SSIM"]) == {"mine", "OpenCV Mertens", "mean"}
    assert set(rows["brackets, 3 frames", "hue error"]) == {"mine", "OpenCV Mertens", "mean"}
    assert rows["enhance, blur σ = 0.8 px", "gain in PSNR luma"]["mean"] == 0
    assert rows["a photograph with itself", "PSNR luma"]["mine"] > 25
    assert f"* not found: {tmp_path / 'nowhere'}" in printed
    assert f"* enfuse, exposure pairs: {failing} ended with status 3: no memory" in printed

    fused = Image.open(next((tmp_path / "work").glob("focus-21-*/0_2/fused_mean.png")))
    frames = [scenes.read(frame) for frame in scenes.Scene(Path(fused.filename).parent).frames]
    assert np.abs(np.asarray(fused) / 255 - np.mean(frames, axis=0)).max() <= 0.5 / 255 + 1e-9

    def unexpected(*_: object) -> None:
        raise AssertionError("made again")

    for method in (methods.Gifnet, methods.Mertens, methods.Mean):
        monkeypatch.setattr(method, "fuse", unexpected)
    monkeypatch.setattr(planes, "measured", unexpected)
    peers.main()
    assert capsys.readouterr().out == printed


def test_bad_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["peers.py", "--photos", str(tmp_path), "--work", str(tmp_path), "--model"])
    with pytest.raises(peers.InputError, match="no images here"):
        peers.main()
