"""Damaged files: each gives a good image or an InputError that names it, and nothing else. Seeded, so repeatable.

``pytest tests/files/test_damage.py -rP`` shows how many files came to which end.
"""

import faulthandler
import io
import logging
import random
import signal
import struct
import sys
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from commands import run
from conftest import Passing, photo
from PIL import Image, ImageCms

import gifnet
from gifnet import Fuser, InputError
from gifnet.batch import files as filefusion
from gifnet.files.formats import WRITABLE
from gifnet.files.reading import read_file

PER_SAMPLE = 60
PARTS = 5  # of the files of a sample; all but one of them are marked slow
LIMIT = 10  # seconds of processor time a file, so that a busy machine does not decide


# --- whole files, one of each kind ------------------------------------------------------------------


def pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def tiff(array: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    channels = array.shape[2] if array.ndim == 3 else 1
    options.setdefault("photometric", "rgb" if channels > 2 else "minisblack")
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


@cache
def samples() -> dict[str, tuple[bytes, str]]:
    """Name -> content and suffix."""
    size = (19, 23)
    grey, rgb, rgba = photo(*size, channels=0), photo(*size), photo(*size, channels=4)
    deep = {channels: photo(*size, channels=channels).astype(np.uint16) * 257 for channels in (2, 3, 4)}
    grey16, real = grey.astype(np.uint16) * 257, rgb.astype(np.float32) / 255
    colour = Image.fromarray(rgb)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Maker", 6
    exif[0x8769] = {0x9286: b"ASCII\0\0\0a comment"}
    carried = {
        "exif": exif.tobytes(),
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    }
    others = [Image.fromarray(photo(*size, seed=seed)) for seed in (1, 2)]
    pages = {"save_all": True, "append_images": others}
    return {
        "PNG grey": (pillow(Image.fromarray(grey), "PNG"), ".png"),
        "PNG RGB": (pillow(colour, "PNG", **carried), ".png"),
        "PNG RGBA": (pillow(Image.fromarray(rgba), "PNG"), ".png"),
        "PNG grey and alpha": (pillow(Image.fromarray(rgba).convert("LA"), "PNG"), ".png"),
        "PNG palette": (pillow(colour.convert("P"), "PNG"), ".png"),
        "PNG palette and alpha": (pillow(colour.convert("P"), "PNG", transparency=0), ".png"),
        "PNG 1 bit": (pillow(colour.convert("1"), "PNG"), ".png"),
        "PNG 16 grey": (pillow(Image.fromarray(grey16), "PNG"), ".png"),
        "PNG 16 grey and alpha": (bytes(imagecodecs.png_encode(deep[2])), ".png"),
        "PNG 16 RGB": (bytes(imagecodecs.png_encode(deep[3])), ".png"),
        "PNG 16 RGBA": (bytes(imagecodecs.png_encode(deep[4])), ".png"),
        "PNG animated": (pillow(colour, "PNG", **pages), ".png"),
        "JPEG": (pillow(colour, "JPEG", **carried), ".jpg"),
        "JPEG grey": (pillow(Image.fromarray(grey), "JPEG"), ".jpg"),
        "JPEG progressive": (pillow(colour, "JPEG", progressive=True), ".jpg"),
        "JPEG CMYK": (pillow(colour.convert("CMYK"), "JPEG"), ".jpg"),
        "WebP": (pillow(colour, "WEBP", **carried), ".webp"),
        "WebP lossless alpha": (pillow(Image.fromarray(rgba), "WEBP", lossless=True), ".webp"),
        "WebP animated": (pillow(colour, "WEBP", **pages), ".webp"),
        "BMP": (pillow(colour, "BMP"), ".bmp"),
        "BMP palette": (pillow(colour.convert("P"), "BMP"), ".bmp"),
        "GIF animated": (pillow(colour, "GIF", **pages), ".gif"),
        "TIFF": (pillow(colour, "TIFF"), ".tif"),
        "TIFF LZW": (pillow(colour, "TIFF", compression="tiff_lzw"), ".tif"),
        "TIFF deflate": (pillow(Image.fromarray(rgba), "TIFF", compression="tiff_deflate"), ".tif"),
        "TIFF JPEG": (pillow(colour, "TIFF", compression="jpeg"), ".tif"),
        "TIFF pages": (pillow(colour, "TIFF", compression="tiff_lzw", **pages), ".tif"),
        "TIFF 16 grey": (tiff(grey16), ".tif"),
        "TIFF 16 RGB": (tiff(deep[3]), ".tif"),
        "TIFF 16 RGB LZW": (tiff(deep[3], compression="lzw", predictor=True), ".tif"),
        "TIFF 16 RGBA deflate": (tiff(deep[4], compression="deflate"), ".tif"),
        "TIFF 16 planes": (tiff(np.moveaxis(deep[3], -1, 0), photometric="rgb", planarconfig="separate"), ".tif"),
        "TIFF 16 tiles": (tiff(deep[3], tile=(16, 16), compression="deflate"), ".tif"),
        "TIFF 16 CMYK": (tiff(deep[4], photometric="separated"), ".tif"),
        "TIFF 16 big-endian": (tiff(deep[3], byteorder=">", bigtiff=True), ".tif"),
        "TIFF float grey": (tiff(real[..., 0]), ".tif"),
        "TIFF float RGB": (tiff(real), ".tif"),
        "TIFF float RGB deflate": (tiff(real, compression="deflate", predictor=True), ".tif"),
        "TIFF float pages": (tiff(np.stack([real, real]), photometric="rgb"), ".tif"),
    }


SAMPLES = sorted(samples())


# --- damage -----------------------------------------------------------------------------------------


def truncated(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def flipped(content: bytes, rng: random.Random) -> bytes:
    """A few bits anywhere."""
    damaged = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return repaired(bytes(damaged)) if rng.random() < 0.7 else bytes(damaged)


def repaired(content: bytes) -> bytes:
    """A damaged PNG with checksums that are right again, so that decoders see the damage; other files as they are."""
    if not content.startswith(b"\x89PNG"):
        return content
    at, parts = 8, [content[:8]]
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">L", content, at)
        body = content[at + 4 : at + 8 + length]
        parts.append(content[at : at + 4] + body + struct.pack(">L", zlib.crc32(body)))
        at += 12 + length
    return b"".join(parts)


def header_flipped(content: bytes, rng: random.Random) -> bytes:
    """A few bits where formats say what they hold: at the start, or in a TIFF's directory."""
    damaged = bytearray(content)
    start = 0
    if content[:4] in (b"II*\0", b"MM\0*"):
        start = struct.unpack("<L" if content[:1] == b"I" else ">L", content[4:8])[0] % len(content)
    for _ in range(rng.randint(1, 3)):
        damaged[min(start + rng.randrange(160), len(damaged) - 1)] ^= 1 << rng.randrange(8)
    return repaired(bytes(damaged)) if rng.random() < 0.7 else bytes(damaged)


def blanked(content: bytes, rng: random.Random) -> bytes:
    """A run of zero bytes, or of random ones."""
    start = rng.randrange(len(content))
    length = min(rng.choice([1, 4, 16, 256, len(content)]), len(content) - start)
    run = bytes(length) if rng.random() < 0.5 else rng.randbytes(length)
    return repaired(content[:start] + run + content[start + length :])


def shifted(content: bytes, rng: random.Random) -> bytes:
    """A few bytes too many or too few."""
    at = rng.randrange(len(content))
    if rng.random() < 0.5:
        return content[:at] + content[at + rng.randint(1, 8) :]
    return content[:at] + rng.randbytes(rng.randint(1, 8)) + content[at:]


def enlarged(content: bytes, rng: random.Random) -> bytes:
    """A huge width and height declared, everything else as it was."""
    sides = [2000, 9000, 13000, 30000, 65500, 2**31 - 1]
    if b"acTL" in content or content.startswith(b"GIF"):  # a canvas with a small frame on it is a whole image
        sides = [2000, 30000, 65500]
    side = rng.choice(sides)
    if content.startswith(b"\x89PNG"):
        header = b"IHDR" + struct.pack(">LL", side, side) + content[24:29]
        return content[:12] + header + struct.pack(">L", zlib.crc32(header)) + content[33:]
    if content.startswith(b"BM"):
        return content[:18] + struct.pack("<ll", side, side) + content[26:]
    if content.startswith(b"GIF"):
        return content[:6] + struct.pack("<HH", side % 65536, side % 65536) + content[10:]
    if content.startswith(b"\xff\xd8"):
        at = max(content.find(b"\xff\xc0"), content.find(b"\xff\xc2"))
        return content[: at + 5] + struct.pack(">HH", side % 65536, side % 65536) + content[at + 9 :]
    if content.startswith(b"RIFF"):
        return content[:24] + struct.pack("<LL", side % 2**24, side % 2**24)[:6] + content[30:]
    return _with_tags(content, {256: side, 257: side})


def _with_tags(content: bytes, values: dict[int, int]) -> bytes:
    """A TIFF with other values in its first directory."""
    order = "<" if content[:1] == b"I" else ">"
    big = content[2:4] in (b"+\0", b"\0+")
    damaged = bytearray(content)
    at = struct.unpack_from(order + ("Q" if big else "L"), content, 8 if big else 4)[0]
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
    record, at = (20, at + 8) if big else (12, at + 2)
    for i in range(count):
        (tag,) = struct.unpack_from(order + "H", content, at + i * record)
        if tag in values:
            form = "HHQQ" if big else "HHLL"
            struct.pack_into(order + form, damaged, at + i * record, tag, 4, 1, values[tag])
    return bytes(damaged)


def emptied(content: bytes, rng: random.Random) -> bytes:
    return rng.choice([b"", bytes(len(content)), b"\0", rng.randbytes(200)])


def unharmed(content: bytes, rng: random.Random) -> bytes:
    return content


DAMAGES: list[tuple[Callable[[bytes, random.Random], bytes], int]] = [
    (truncated, 13), (flipped, 14), (header_flipped, 14), (blanked, 8), (shifted, 6), (enlarged, 3), (emptied, 1),
    (unharmed, 1),
]  # fmt: skip


def damaged_files(sample: str, count: int) -> Iterator[tuple[str, bytes]]:
    """File names, some with a suffix of another format, and contents."""
    content, suffix = samples()[sample]
    rng = random.Random(f"damage {sample}")
    damages = [damage for damage, weight in DAMAGES for _ in range(weight)]
    assert len(damages) == PER_SAMPLE
    for i in range(count):
        damage = damages[i] if count == PER_SAMPLE else rng.choice(damages)
        wrong = rng.random() < 0.1
        name = f"{damage.__name__}_{i}{rng.choice(sorted(WRITABLE)) if wrong else suffix}"
        yield name, damage(content, rng)


# --- through the file API ---------------------------------------------------------------------------


class TooSlow(BaseException):
    """Not an Exception, so that no reader takes it for damage."""


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TooSlow

    faulthandler.dump_traceback_later(6 * seconds, exit=True)  # a decoder that never comes back to Python
    if sys.platform != "win32":
        previous = signal.signal(signal.SIGPROF, stop)
        signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
        if sys.platform != "win32":
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, previous)


@pytest.fixture(autouse=True)
def _cheap_and_quiet(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    fuser = Fuser(Passing(), device="cpu")
    monkeypatch.setattr(filefusion, "fuser_of", lambda *_: fuser)
    for name in ("PIL", "tifffile"):
        caplog.set_level(logging.CRITICAL + 1, logger=name)


def check_image(path: Path) -> None:
    array = read_file(path, str(path)).array
    assert array.size
    assert bool(np.isfinite(array).all())


def part_of(index: int, sample: str, part: int) -> Any:
    """Some of a sample's files, in steps of PARTS. What is not slow is another part for the next sample."""
    marks = () if part == index % PARTS else pytest.mark.slow
    return pytest.param(sample, part, id=f"{sample}-{part}", marks=marks)


@pytest.mark.parametrize(
    ("sample", "part"), [part_of(i, sample, part) for i, sample in enumerate(SAMPLES) for part in range(PARTS)]
)
def test_damaged_files(sample: str, part: int, tmp_path: Path) -> None:
    good = tmp_path / "good.png"
    Image.fromarray(photo(19, 23, seed=5)).save(good)
    rng = random.Random(f"use {sample} {part}")
    ends: Counter[str] = Counter()
    for name, content in list(damaged_files(sample, PER_SAMPLE))[part::PARTS]:
        file, out = tmp_path / name, tmp_path / f"out{rng.choice(sorted(WRITABLE))}"
        file.write_bytes(content)
        page = rng.choice([None, 0, 1])
        with time_limit(LIMIT), warnings.catch_warnings(record=True) as caught:
            try:
                if rng.random() < 0.5:
                    gifnet.enhance_file(file, out, page=page)
                elif rng.random() < 0.5:
                    gifnet.fuse_files(good, file, out, page=page)
                else:
                    gifnet.fuse_files(file, good, out, page=page)
            except InputError as error:
                message = str(error)
            except TooSlow:
                pytest.fail(f"{name}: more than {LIMIT} s")
            else:
                message = ""
        if message:
            named = str(file) in message or (str(out) in message and " holds " in message)
            assert named, f"{name}: {message}"
            assert "\n" not in message
        else:
            check_image(out)
            out.unlink()
        ends["InputError" if message else "image"] += 1
        for warning in caught:
            assert "PIL" in Path(warning.filename).parts, f"{name}: {warning.message} ({warning.filename})"
        assert {path.name for path in tmp_path.iterdir()} == {"good.png", name}
        file.unlink()
    print(f"{sample}: " + ", ".join(f"{count} × {end}" for end, count in sorted(ends.items())))
    assert sum(ends.values()) == PER_SAMPLE // PARTS


def test_there_are_two_thousand() -> None:
    assert len(SAMPLES) * PER_SAMPLE >= 2000


@pytest.mark.parametrize("sample", SAMPLES)
def test_whole_files_are_read(sample: str, tmp_path: Path) -> None:
    content, suffix = samples()[sample]
    file = tmp_path / f"whole{suffix}"
    file.write_bytes(content)
    out = gifnet.enhance_file(file, tmp_path / "out.tif", page=1)
    check_image(out)


# --- through the command line -----------------------------------------------------------------------


@pytest.mark.slow
def test_damaged_files_on_the_command_line(tmp_path: Path) -> None:
    rng = random.Random("command line")
    ends: Counter[int] = Counter()
    for sample in SAMPLES:
        ((name, content),) = damaged_files(sample, 1)
        file, out = tmp_path / name, tmp_path / f"out{rng.choice(['.png', '.tif', '.webp'])}"
        file.write_bytes(content)
        result = run("enhance", file, "-o", out, seconds=6 * LIMIT)  # with the model, on a busy machine
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert "Warning" not in result.stderr
        ends[result.returncode] += 1
        if result.returncode == 0:
            check_image(out)
            out.unlink()
        else:
            assert result.returncode == 1, f"{sample}, {name}: {result.stderr}"
            assert result.stderr.splitlines()[-1].startswith(f"gifnet: {file}"), f"{sample}, {name}: {result.stderr}"
        assert {path.name for path in tmp_path.iterdir()} == {name}
        file.unlink()
    print(", ".join(f"{count} × exit {end}" for end, count in sorted(ends.items())))
    assert set(ends) == {0, 1}


def test_the_command_itself(tmp_path: Path) -> None:
    file = tmp_path / "broken.tif"
    file.write_bytes(samples()["TIFF 16 RGB"][0][:900])
    result = run("enhance", file, "-o", tmp_path / "out.png")
    assert result.returncode == 1
    assert result.stdout == ""
    assert str(file) in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"broken.tif"}
