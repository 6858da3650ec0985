"""Flags that don't go together are wrong usage, before any work; and the limit of what is read."""

from pathlib import Path

import numpy as np
import pytest
from conftest import photo
from PIL import Image

from gifnet.cli import main


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two folders, ir and vis, of two images each."""
    for folder in ("ir", "vis"):
        (tmp_path / folder).mkdir()
        for seed in range(2):
            Image.fromarray(photo(seed=seed)).save(tmp_path / folder / f"{seed}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        *(
            (f"fuse --stack ir -o out.png {flag}", f"{flag.split()[0]} is for folders, and a stack becomes one image")
            for flag in ("--recursive", "--overwrite", "--resume", "--skip-unmatched", "--suffix .png")
        ),
        ("fuse ir/0.png ir/1.png vis/0.png -o out.png --overwrite", "--overwrite is for folders"),
        ("fuse ir/0.png vis/0.png -o out.png --overwrite", "--overwrite is for folders, and ir/0.png is none"),
        ("fuse --stack ir -o out", "unknown image suffix"),
        ("enhance ir/0.png -o out.png --recursive", "--recursive is for folders"),
        ("enhance ir/0.png -o out.png --suffix .png", "--suffix is for folders"),
        ("enhance ir/0.png -o out.png --tile 5", "give auto, none, or 64 or more pixels"),
        ("enhance ir/0.png -o out.png --memory much", "'much'; give an amount such as 2GB or 500MB"),
        ("enhance ir/0.png -o out.png --stretch 1", "'1'; give two percentiles such as 1,99"),
        ("enhance ir/0.png -o out.png --max-pixels few", "'few'; give a number of pixels"),
        ("fuse --align turn ir/0.png vis/0.png -o out.png", "'turn' is no motion"),
        ("align ir/0.png vis/0.png --crop", "--crop is for B_ALIGNED; name it with -o"),
        (
            "align ir/0.png vis/0.png --motion translation --max-scale 1.2",
            "--max-scale is not for --motion",
        ),
        ("align ir/0.png vis/0.png --motion translation --max-rotation 9", "--max-rotation is not for --motion"),
        ("eval ir vis --fused vis --save-fused out", "--save-fused is for models, and only --fused was given"),
        ("eval ir vis --fused vis --device cpu", "--device is for models"),
        ("eval ir vis --fused vis --dtype float16", "--dtype is for models"),
        ("eval ir", "give A_DIR and B_DIR, or --sets DIR"),
        ("train ir vis -o out --validate-every 5", "--validate-every goes with --validate"),
    ],
)
def test_flags_that_would_be_ignored_are_wrong_usage(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: str, words: str
) -> None:
    monkeypatch.chdir(place)
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert line.startswith(f"gifnet {arguments.split()[0]}: ")
    assert words in line
    assert sorted(path.name for path in place.iterdir()) == ["ir", "vis"]


def test_max_pixels_is_what_the_message_advises(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    limit = 40 * 56 // 2 - 1
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    arguments = ["enhance", str(place / "ir" / "0.png"), "-o", str(place / "out.png"), "--strength", "0"]
    assert main(arguments) == 1
    assert "--max-pixels" in capsys.readouterr().err
    assert main([*arguments, "--max-pixels", "2240"]) == 0
    assert main([*arguments, "--max-pixels", "2238"]) == 1
    assert main([*arguments, "--max-pixels", "3K"]) == 0
    assert limit == Image.MAX_IMAGE_PIXELS
    monkeypatch.undo()
    np.testing.assert_array_equal(np.asarray(Image.open(place / "out.png")), photo(seed=0))
