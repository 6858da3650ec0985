"""The page without a browser: built, its functions called as Gradio calls them, served and closed."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, photo
from PIL import Image
from serving import served

import gifnet
from gifnet import InputError
from gifnet.demo import page as page_module
from gifnet.demo.page import KEPT, Page
from gifnet.demo.server import launch
from gifnet.demo.work import Setup
from gifnet.networks.gifnet import GIFNet

pytest.importorskip("gradio", reason="the extra 'demo' is not installed")


@pytest.fixture
def page(tmp_path: Path, small_network: GIFNet, monkeypatch: pytest.MonkeyPatch) -> Page:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    page = Page(tmp_path, Setup(gifnet.Fuser(small_network)), threading.Event())
    page.blocks()
    return page


@pytest.fixture
def pair(tmp_path: Path) -> list[str]:
    for seed, name in enumerate("ab"):
        Image.fromarray(photo(seed=seed)).save(tmp_path / f"{name}.png")
    return [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def run(page: Page, files: list[str] | None, before: Any = None) -> tuple[Any, ...]:
    told: list[object] = []
    result = page.run(files, "the model", 1.0, False, False, before, progress=lambda *said, **more: told.append(said))
    assert told
    return result


def test_a_result_appears_with_its_inputs_and_its_download(page: Page, pair: list[str], tmp_path: Path) -> None:
    slider, compared, summary, download, trouble, result = run(page, pair)
    assert slider.value is not None
    assert [choice for choice, _ in compared.choices] == ["1: a.png", "2: b.png"]
    assert summary.value.startswith('<p class="said">Fused 2 images of 56 × 40 pixels in ')
    assert not trouble.visible
    assert download.label.startswith("Download a_fused.png (")
    gifnet.fuse_files(*pair, tmp_path / "expected.png", model=page.models["the model"])
    assert result.file.read_bytes() == (tmp_path / "expected.png").read_bytes()
    other, trouble = page.compare("2: b.png", result)
    assert other.label == "Image 2 | result"
    assert not trouble.visible
    again = run(page, pair, before=result)[-1]
    assert again.file.is_file()
    assert not result.file.exists()  # what is replaced on the page is not kept
    assert "no longer kept" in page.compare("1: a.png", result)[1].value
    assert page.result.time_to_live == KEPT
    page.result.delete_callback(again)  # as Gradio does then
    assert not again.file.parent.exists()


def test_a_failure_says_why_and_leaves_the_result(page: Page, pair: list[str], tmp_path: Path) -> None:
    result = run(page, pair)[-1]
    (tmp_path / "<b>broken.png").write_bytes(b"no image")
    *others, trouble, state = run(page, [pair[0], str(tmp_path / "<b>broken.png")], before=result)
    assert all(update == page.gr.skip() for update in (*others, state))
    assert trouble.visible
    assert "&lt;b&gt;broken.png: not an image in a format that gifnet reads" in trouble.value
    assert str(tmp_path) not in trouble.value
    assert result.file.is_file()
    assert "drop one" in run(page, None)[-2].value


def test_what_is_dropped_is_looked_at(page: Page, pair: list[str], tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    thumbnails, reverse, align, strength, go = page.look([*pair, str(tmp_path / "broken.png")])
    assert thumbnails.value.count("<img ") == 2
    assert "56 × 40, 8 bits" in thumbnails.value
    assert "3: broken.png: not an image" in thumbnails.value
    assert (reverse.visible, align.visible, strength.visible, go.value) == (True, True, False, "Fuse")
    thumbnails, reverse, align, strength, go = page.look(pair[:1])
    assert (reverse.visible, align.visible, strength.visible, go.value) == (False, False, True, "Enhance")
    assert not page.look(None)[0].visible


def test_nothing_is_told_to_others(page: Page) -> None:
    config = page.blocks().get_config_file()
    assert config["analytics_enabled"] is False
    assert {dependency["api_visibility"] for dependency in config["dependencies"]} == {"private"}
    assert page.options["theme"]._stylesheets == []  # where fonts from elsewhere would be


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"port": 70000}, "port: 70000; give a number from 1 to 65535"),
        (
            {"host": "192.0.2.1"},
            "host: '192.0.2.1' is no address of this machine",
        ),  # of the addresses that are nobody's
        ({"memory": "much"}, "memory: 'much'"),
        ({"model": "no/such/weights.safetensors"}, "no such file"),
    ],
)
def test_what_can_not_be_is_refused_before_it_opens(chosen: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        launch(no_browser=True, **chosen)
    assert words in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("command", [("-m", "gifnet", "demo", "--no-browser"), (str(ROOT / "examples/space/app.py"),)])
def test_the_page_is_served_and_leaves_nothing(tmp_path: Path, command: tuple[str, ...]) -> None:
    """By the command line, and as a Space runs it."""
    with served(*command, TMPDIR=str(tmp_path), GRADIO_SERVER_NAME="127.0.0.1", GRADIO_SERVER_PORT="7899") as (
        address,
        process,
    ):
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address) as answer:
            assert "gifnet" in answer.read().decode()
        [folder] = tmp_path.glob("gifnet-demo-*")
        with pytest.raises(urllib.error.HTTPError, match="403"):  # files of this machine are nobody's business
            urllib.request.urlopen(f"{address}/gradio_api/file={ROOT / 'pyproject.toml'}")
        taken = subprocess.run(
            [sys.executable, "-m", "gifnet", "demo", "--no-browser", "--port", address.rpartition(":")[2]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (taken.returncode, taken.stdout) == (1, "")
        assert taken.stderr.startswith("gifnet: port: ")
    assert process.returncode == 0
    assert not folder.exists()


@pytest.mark.slow
def test_what_was_uploaded_is_deleted_in_time(
    tmp_path: Path, small_network: GIFNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    monkeypatch.setattr(page_module, "KEPT", 6)
    page = Page(tmp_path, Setup(gifnet.Fuser(small_network)), threading.Event())
    blocks = page.blocks()
    blocks.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, **page.options)
    try:
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="mine.png"\r\n\r\npixels\r\n--x--\r\n'
        header = {"Content-Type": "multipart/form-data; boundary=x"}
        request = urllib.request.Request(f"{blocks.local_url}gradio_api/upload", body, header)
        with urllib.request.urlopen(request) as answer:
            [uploaded] = map(Path, json.load(answer))
        assert uploaded.read_bytes() == b"pixels"
        assert uploaded.is_relative_to(tmp_path)
        deadline = time.monotonic() + 60
        while uploaded.exists():
            assert time.monotonic() < deadline
            time.sleep(0.5)
    finally:
        blocks.close(verbose=False)
