"""Known colours through every matrix, range and depth, both ways, against the standards' equations."""

from typing import Any

import av
import numpy as np
import pytest

from gifnet.video.colours import frame_of, pixels_of

WEIGHTS = {"BT.601": (0.299, 0.114), "BT.709": (0.2126, 0.0722), "BT.2020": (0.2627, 0.0593)}  # of red and blue
TAGS = {"BT.601": 5, "BT.709": 1, "BT.2020": 9}  # AVColorSpace
LIMITED, FULL = 1, 2
COLOURS = [
    (0, 0, 0), (1, 1, 1), (0.5, 0.5, 0.5), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (0.8, 0.3, 0.1),
    (0.2, 0.6, 0.9),
]  # fmt: skip


def codes(colour: tuple[float, ...], matrix: str, full: bool, bits: int) -> list[int]:
    """Y, Cb and Cr of R, G, B in [0, 1], as ITU-R BT.601, BT.709 and BT.2020 quantise them, and JFIF in full range."""
    of_red, of_blue = WEIGHTS[matrix]
    red, green, blue = colour
    luma = of_red * red + (1 - of_red - of_blue) * green + of_blue * blue
    chroma = (blue - luma) / (2 * (1 - of_blue)), (red - luma) / (2 * (1 - of_red))
    scale, top = 1 << (bits - 8), (1 << bits) - 1
    if full:
        return [min(top, round(value)) for value in (luma * top, *(c * top + 128 * scale for c in chroma))]
    return [round((16 + 219 * luma) * scale), *(round((128 + 224 * c) * scale) for c in chroma)]


def flat(values: list[int], pixel_format: str, bits: int) -> Any:
    frame = av.VideoFrame(32, 32, pixel_format)
    for plane, value in zip(frame.planes, values, strict=True):
        dtype = np.uint8 if bits == 8 else np.uint16
        plane.update(np.full(plane.buffer_size // dtype().itemsize, value, dtype).tobytes())
    return frame


def first_values(frame: Any, bits: int) -> list[int]:
    return [int(np.frombuffer(plane, np.uint8 if bits == 8 else np.uint16)[0]) for plane in frame.planes]


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize(("pixel_format", "bits"), [("yuv420p", 8), ("yuv444p", 8), ("yuv422p10le", 10)])
def test_colours_in(pixel_format: str, bits: int, matrix: str, full: bool) -> None:
    for colour in COLOURS:
        frame = flat(codes(colour, matrix, full, bits), pixel_format, bits)
        frame.colorspace, frame.color_range = TAGS[matrix], FULL if full else LIMITED
        pixels = pixels_of(frame)
        assert pixels.dtype == (np.uint8 if bits == 8 else np.uint16)
        top = 255 if bits == 8 else 65535
        # 8 bits of Y, Cb and Cr hold a colour within a level and a half; swscale rounds 10 bits in a similar way.
        assert np.abs(pixels[16, 16] / top - colour).max() * 255 <= 1.6, colour


@pytest.mark.parametrize(("height", "matrix"), [(256, "BT.601"), (576, "BT.601"), (720, "BT.709"), (1080, "BT.709")])
def test_files_that_do_not_say(height: int, matrix: str) -> None:
    frame = av.VideoFrame(32, height, "yuv420p")
    for plane, value in zip(frame.planes, codes((0.8, 0.3, 0.1), matrix, False, 8), strict=True):
        plane.update(np.full(plane.buffer_size, value, np.uint8).tobytes())
    assert np.abs(pixels_of(frame)[5, 5] / 255 - (0.8, 0.3, 0.1)).max() * 255 <= 1.6


@pytest.mark.parametrize(
    ("pixel_format", "bits", "matrix", "full"),
    [
        ("yuv420p", 8, "BT.709", False),
        ("yuv444p", 8, "BT.709", False),
        ("yuv420p10le", 10, "BT.709", False),
        ("yuvj420p", 8, "BT.601", True),
    ],
)
def test_colours_out(pixel_format: str, bits: int, matrix: str, full: bool) -> None:
    top, dtype = (255, np.uint8) if bits == 8 else (65535, np.uint16)
    for colour in COLOURS:
        pixels = np.broadcast_to(np.rint(np.array(colour) * top), (32, 32, 3)).astype(dtype)
        frame = frame_of(pixels, pixel_format)
        assert (frame.colorspace, frame.color_range) == (TAGS[matrix], FULL if full else LIMITED)
        wrong = np.abs(np.subtract(first_values(frame, bits), codes(colour, matrix, full, bits)))
        assert wrong.max() <= (1 if bits == 8 else 4), colour  # 4 of 1024: as 1 of 256
    grey = frame_of(np.full((32, 32), round(0.5 * top), dtype), pixel_format)
    assert (
        np.abs(np.subtract(first_values(grey, bits), codes((0.5, 0.5, 0.5), matrix, full, bits))).max() <= 1 + bits % 8
    )


@pytest.mark.parametrize(("pixel_format", "bits"), [("gray", 8), ("gray10le", 10), ("gray12le", 12), ("gray16le", 16)])
def test_grey_of_every_depth(pixel_format: str, bits: int) -> None:
    top = (1 << bits) - 1
    for value in (0, round(0.3 * top), top):
        pixels = pixels_of(flat([value], pixel_format, bits))
        assert pixels.shape == (32, 32)
        scale = 255 if bits == 8 else 65535
        assert abs(int(pixels[3, 3]) - value / top * scale) <= (0 if bits in (8, 16) else 1)
        if bits in (8, 16):
            assert first_values(frame_of(pixels, pixel_format), bits) == [value]
    black = flat([16 << (bits - 8)], pixel_format, bits)
    white = flat([235 << (bits - 8)], pixel_format, bits)
    black.color_range = white.color_range = LIMITED
    assert pixels_of(black).max() <= (0 if bits == 8 else 300)
    assert pixels_of(white).min() >= (255 if bits == 8 else 65535 - 300)


def test_neutral_chroma_is_grey() -> None:
    """Thermal cameras write grey as YUV: nothing of it may be taken for colour."""
    for value in range(16, 236, 7):
        pixels = pixels_of(flat([value, 128, 128], "yuv420p", 8))
        assert (pixels == pixels[..., :1]).all()
