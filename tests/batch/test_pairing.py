"""Pairs whose names are not the same: by pattern, or listed in a CSV file."""

from pathlib import Path

import numpy as np
import pytest
from commands import run
from conftest import photo
from PIL import Image

from gifnet import InputError, fuse_folders
from gifnet.batch.listed import pairs_listed
from gifnet.batch.patterns import pairs_by_pattern


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


DRONE = ("{name}_T.jpg", "{name}_W.jpg")


def test_a_drones_folder(tmp_path: Path) -> None:
    """One folder holds both images of each pair, and others."""
    touch(tmp_path, "DJI_0001_T.JPG", "DJI_0001_W.JPG", "DJI_0002_T.JPG", "DJI_0002_W.JPG", "DJI_0003_T.JPG")
    touch(tmp_path, "DJI_0001_Z.JPG", "more/DJI_0001_T.JPG", "more/DJI_0001_W.JPG")
    found = pairs_by_pattern(tmp_path, tmp_path, tmp_path / "out", DRONE, suffix=".png")
    assert [match.name for match in found.matches] == ["DJI_0001", "DJI_0002"]
    assert found.matches[0].inputs == (tmp_path / "DJI_0001_T.JPG", tmp_path / "DJI_0001_W.JPG")
    assert [str(match.output) for match in found.matches] == ["DJI_0001.png", "DJI_0002.png"]
    assert [failure.name for failure in found.unmatched] == ["DJI_0003"]
    deep = pairs_by_pattern(tmp_path, tmp_path, tmp_path / "out", DRONE, recursive=True)
    assert [match.output.as_posix() for match in deep.matches] == ["DJI_0001.JPG", "DJI_0002.JPG", "more/DJI_0001.JPG"]


def test_wildcards_and_dots(tmp_path: Path) -> None:
    touch(tmp_path / "ir", "2024.06.01 0001 thermal-81.png", "x.png")
    touch(tmp_path / "vis", "0001_rgb.png")
    found = pairs_by_pattern(
        tmp_path / "ir", tmp_path / "vis", tmp_path, ("* {name} thermal*.png", "{name}_rgb.*"), suffix=".tif"
    )
    assert [(match.name, str(match.output)) for match in found.matches] == [("0001", "0001.tif")]
    touch(tmp_path / "dots", "v1.5_a.png", "v1.5_b.png", "v1.6_a.png", "v1.6_b.png")
    found = pairs_by_pattern(tmp_path / "dots", tmp_path / "dots", tmp_path, ("{name}_a.png", "{name}_b.png"))
    assert [str(match.output) for match in found.matches] == ["v1.5.png", "v1.6.png"]


def test_of_two_patterns_that_fit_the_one_that_says_more(tmp_path: Path) -> None:
    touch(tmp_path, "1.jpg", "1_T.jpg", "2.jpg", "2_T.jpg")
    for pattern in (("{name}.jpg", "{name}_T.jpg"), ("{name}_T.jpg", "{name}.jpg")):
        found = pairs_by_pattern(tmp_path, tmp_path, tmp_path / "out", pattern)
        assert [match.name for match in found.matches] == ["1", "2"]
        assert not found.unmatched
        assert found.matches[0].inputs[0].name == pattern[0].replace("{name}", "1")


def test_patterns_that_fit_nothing(tmp_path: Path) -> None:
    touch(tmp_path, "a_ir.png", "b_vis.png")
    with pytest.raises(InputError, match=r"no image is named like \{name\}_T\.jpg.*such as a_ir\.png"):
        pairs_by_pattern(tmp_path, tmp_path, tmp_path / "out", DRONE)
    with pytest.raises(InputError, match=r"no pair of .*a_ir\.png has no partner"):
        pairs_by_pattern(tmp_path, tmp_path, tmp_path / "out", ("{name}_ir.png", "{name}_vis.png"))


def test_a_list(tmp_path: Path) -> None:
    touch(tmp_path / "ir", "1.png", "2.png", "3.png")
    touch(tmp_path / "vis", "x.jpg", "y.jpg")
    path = tmp_path / "pairs.csv"
    path.write_text("a,b,out\n1.png,x.jpg\n2.png, y.jpg ,night/second\n3.png,y.jpg,third.tif\n1.png,z.jpg,fourth\n")
    found = pairs_listed(tmp_path / "ir", tmp_path / "vis", path, None)
    assert [match.output.as_posix() for match in found.matches] == ["1.png", "night/second.png", "third.tif"]
    assert found.matches[1].inputs == (tmp_path / "ir/2.png", tmp_path / "vis/y.jpg")
    [missing] = found.unmatched
    assert "line 5" in missing.reason
    assert "z.jpg is not there" in missing.reason
    path.write_text("\ufeff1.png;x.jpg\n2.png;y.jpg\n1.png;y.jpg\n", encoding="utf-8")
    found = pairs_listed(tmp_path / "ir", tmp_path / "vis", path, ".png")
    assert len(found.matches) == 2
    assert "line 3: 1.png is the result of another line too" in found.ambiguous[0].reason


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("1.png\n", "line 1: 1 entries; give two files"),
        ("1.png,x.jpg,../out.png\n", "leaves the folder of results"),
        ("/tmp/1.png,x.jpg\n", "leaves the folder of results; give a third entry"),
        ("", "lists no pair"),
        ("1.png,no.jpg\n", r"no\.jpg is not there"),
    ],
)
def test_lists_that_are_wrong(content: str, problem: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "x.jpg")
    (tmp_path / "pairs.csv").write_text(content)
    with pytest.raises(InputError, match=rf"pairs\.csv.*{problem}"):
        pairs_listed(tmp_path, tmp_path, tmp_path / "pairs.csv")
    with pytest.raises(InputError, match=r"none\.csv: can't be read"):
        pairs_listed(tmp_path, tmp_path, tmp_path / "none.csv")


def test_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "flight"
    folder.mkdir()
    for number in "12":
        Image.fromarray(photo(channels=0)).save(folder / f"DJI_{number}_T.JPG")
        Image.fromarray(photo(seed=1)).save(folder / f"DJI_{number}_W.JPG")
    done = run(
        "fuse", folder, folder, "-o", tmp_path / "out", "--pattern", *DRONE, "--suffix", ".jpg", "--quality", "60",
        "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").glob("*.jpg")) == ["DJI_1.jpg", "DJI_2.jpg"]
    (tmp_path / "pairs.csv").write_text("DJI_1_T.JPG,DJI_2_W.JPG,mixed.png\n")
    done = run("fuse", folder, folder, "-o", tmp_path / "out", "--pairs", tmp_path / "pairs.csv", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    np.testing.assert_equal(np.asarray(Image.open(tmp_path / "out" / "mixed.png")).shape, (40, 56, 3))
    with pytest.raises(InputError, match="pattern: not with pairs"):
        fuse_folders(folder, folder, tmp_path / "out", pattern=DRONE, pairs=tmp_path / "pairs.csv")
    done = run("fuse", "a.png", "b.png", "-o", "c.png", "--pattern", *DRONE)
    assert done.returncode == 2
    assert "--pattern is for folders" in done.stderr
    done = run("fuse", folder, folder, "-o", tmp_path / "out", "--pattern", "T.jpg", "W.jpg")
    assert done.returncode == 1
    assert "'{name}_T.jpg' and '{name}_W.jpg'" in done.stderr
