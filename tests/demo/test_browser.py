"""The page in a real browser: Debian's Chromium, driven by Playwright, in a wide and in a narrow window."""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import tifffile
from conftest import ROOT, photo
from PIL import Image
from serving import served

import gifnet

pytestmark = pytest.mark.slow

pytest.importorskip("gradio", reason="the extra 'demo' is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("Debian's chromium is not installed", allow_module_level=True)

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
WINDOWS = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}
LONG = "an_image_that_someone_has_given_a_rather_long_name_without_any_spaces"
PATIENCE = 240_000  # milliseconds; busy machines fuse slowly


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    environment = {
        "GIFNET_DEVICE": "cpu",
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path_factory.mktemp("served")),
    }
    with served("-m", "gifnet", "demo", "--no-browser", **environment) as (found, _):
        yield found


@pytest.fixture
def visit(address: str, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that opens the page in a window; all that it asks for must come from the page's own address."""
    asked: set[str] = set()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=CHROMIUM, headless=True, args=list(FLAGS), accept_downloads=True
        )

        def open_page(window: str = "wide", scheme: str = "light") -> Any:
            page = browser.new_page()
            page.set_default_timeout(PATIENCE)
            page.set_viewport_size(WINDOWS[window])
            page.emulate_media(color_scheme=scheme)
            page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
            page.goto(address)
            page.wait_for_selector("#go")
            return page

        yield open_page
        browser.close()
    assert asked - {""} == {urlsplit(address).netloc}  # of data: and blob: there is no host


@pytest.fixture
def pair(tmp_path: Path) -> list[Path]:
    """Two 16-bit TIFFs in colour, one with a name that is wider than a narrow window."""
    paths = [tmp_path / f"{name}.tif" for name in ("a", LONG)]
    for seed, path in enumerate(paths):
        tifffile.imwrite(path, photo(120, 160, seed=seed).astype(np.uint16) * 257 + seed, photometric="rgb")
    return paths


def drop(page: Any, *paths: Path) -> None:
    """Drop files onto the page, as a file manager does."""
    files = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in paths]
    page.evaluate_handle("document").evaluate(
        """(document, files) => {
            const carried = new DataTransfer();
            for (const [name, content] of files)
                carried.items.add(new File([Uint8Array.from(atob(content), c => c.charCodeAt(0))], name));
            const zone = document.querySelector("#files button");
            for (const kind of ["dragenter", "dragover", "drop"])
                zone.dispatchEvent(new DragEvent(kind, {dataTransfer: carried, bubbles: true, cancelable: true}));
        }""",
        files,
    )


def nothing_is_cut(page: Any) -> bool:
    """Whether the page fits into the window's width."""
    return bool(
        page.evaluate(
            """() => {
                const width = document.documentElement.clientWidth;
                const places = "#thumbnails *, #compared *, #download, #summary *, #trouble *";
                const parts = document.querySelectorAll(places);
                return document.documentElement.scrollWidth <= width
                    && [...parts].every(part => part.getBoundingClientRect().right <= width);
            }"""
        )
    )


@pytest.mark.parametrize(("window", "scheme"), [("wide", "light"), ("narrow", "dark")])
def test_two_files_are_fused_compared_and_downloaded(
    visit: Callable[..., Any], pair: list[Path], tmp_path: Path, window: str, scheme: str
) -> None:
    page = visit(window, scheme)
    assert nothing_is_cut(page)
    drop(page, *pair)
    page.wait_for_function("document.querySelectorAll('#thumbnails img').length == 2")
    page.click("#go")
    page.wait_for_selector("#download:visible")
    assert "Fused 2 images of 160 × 120 pixels in " in page.inner_text("#summary")
    assert nothing_is_cut(page)

    page.wait_for_function(
        "[...document.querySelectorAll('#slider img')].filter(i => i.complete && i.naturalWidth == 160).length == 2"
    )
    slider = page.locator("#slider")
    slider.scroll_into_view_if_needed()
    page.mouse.move(0, 0)
    box = slider.bounding_box()
    before = slider.screenshot()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 5, middle, steps=5)
    page.mouse.up()
    page.mouse.move(0, 0)
    assert slider.screenshot() != before

    page.click(f"#compared label:has-text('2: {LONG}.tif')")
    page.wait_for_selector("#slider >> text=Image 2 | result")
    assert nothing_is_cut(page)

    with page.expect_download() as downloading:
        page.click("#download")
    download = downloading.value
    assert download.suggested_filename == "a_fused.tif"
    expected = gifnet.fuse_files(*pair, tmp_path / "expected.tif")
    pixels = tifffile.imread(download.path())
    assert pixels.dtype == np.uint16
    np.testing.assert_array_equal(pixels, tifffile.imread(expected))


def test_a_broken_file_is_told_of_in_words(visit: Callable[..., Any], pair: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    Image.fromarray(photo(120, 160)).save(broken)
    broken.write_bytes(broken.read_bytes()[:5000])  # as of a transfer that broke off
    page = visit("narrow")
    drop(page, pair[0], broken)
    page.wait_for_selector("#thumbnails .trouble")
    assert "2: broken.png: can't be read as an image" in page.inner_text("#thumbnails")
    page.click("#go")
    page.wait_for_selector("#trouble [role=alert]")
    told = page.inner_text("#trouble")
    assert told.startswith("broken.png: can't be read as an image")
    assert "/" not in told
    assert nothing_is_cut(page)
    assert not page.is_visible("#download")


def test_an_example_runs_and_one_image_is_enhanced(visit: Callable[..., Any]) -> None:
    page = visit()
    assert not page.is_visible("#strength")
    page.click("#examples >> text=One image")
    page.wait_for_selector("#download:visible")
    assert "Enhanced 600 × 400 pixels" in page.inner_text("#summary")
    assert page.is_visible("#strength")
    assert page.inner_text("#go") == "Enhance"


def test_two_users_get_each_their_own(visit: Callable[..., Any], pair: list[Path], tmp_path: Path) -> None:
    others = [Path(shutil.copy(path, tmp_path / f"other_{path.name}")) for path in pair[::-1]]
    pages = [visit(), visit()]
    for page, files in zip(pages, (pair, others), strict=True):
        drop(page, *files)
        page.wait_for_function("document.querySelectorAll('#thumbnails img').length == 2")
    for page in pages:
        page.click("#go")
    for page, name in zip(pages, ("a_fused.tif", f"other_{LONG}_fused.tif"), strict=True):
        page.wait_for_selector("#download:visible")
        assert page.inner_text("#download").startswith(f"Download {name} (")
