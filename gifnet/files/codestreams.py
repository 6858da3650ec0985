"""What the headers of compressed images say, without decoding them: their size in pixels and bits a sample."""

import struct
from dataclasses import dataclass

_JPEG_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})


@dataclass(frozen=True)
class Jpeg2000Header:
    """Of a JPEG 2000 codestream."""

    size: tuple[int, int]  # width, height
    bits: tuple[int, ...]  # of each component
    subsampled: bool


def jpeg2000_header(content: bytes) -> Jpeg2000Header:
    """Of a codestream, or of a JP2 file around it. Raises ValueError where there is none."""
    start = content.find(b"\xff\x4f\xff\x51")
    if start < 0:
        raise ValueError("no JPEG 2000 codestream")
    _, _, right, bottom, left, top = struct.unpack_from(">HHLLLL", content, start + 4)
    (count,) = struct.unpack_from(">H", content, start + 40)
    components = [struct.unpack_from("BBB", content, start + 42 + 3 * index) for index in range(count)]
    bits = tuple((depth & 0x7F) + 1 for depth, _, _ in components)
    return Jpeg2000Header((right - left, bottom - top), bits, any((dx, dy) != (1, 1) for _, dx, dy in components))


def jpeg_size(content: bytes) -> tuple[int, int]:
    """Width and height. Raises ValueError where no frame header is found."""
    position = 2
    while position + 9 <= len(content):
        marker = content[position + 1]
        if content[position] != 0xFF:
            break
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", content, position + 5)
            return width, height
        (length,) = struct.unpack_from(">H", content, position + 2)
        position += 2 + length
    raise ValueError("no JPEG frame header")


def webp_size(content: bytes) -> tuple[int, int]:
    """Width and height. Raises ValueError where it is no WebP."""
    kind = content[12:16]
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (packed,) = struct.unpack_from("<L", content, 21)
        return (packed & 0x3FFF) + 1, (packed >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    raise ValueError("no WebP image")


def lerc_size(content: bytes) -> tuple[int, int]:
    """Width and height. Raises ValueError where it is no plain LERC of the second version."""
    if not content.startswith(b"Lerc2 "):
        raise ValueError("LERC that is compressed again, or of another version")
    (version,) = struct.unpack_from("<l", content, 6)
    height, width = struct.unpack_from("<ll", content, 14 if version >= 3 else 10)
    return width, height


def avif_bits(content: bytes) -> int:
    """The bits a sample of an AVIF file's deepest image: 8, 10 or 12."""
    deepest, position = 8, content.find(b"av1C")
    while position >= 0 and position + 7 <= len(content):
        flags = content[position + 6]
        deepest = max(deepest, (12 if flags & 0x20 else 10) if flags & 0x40 else 8)
        position = content.find(b"av1C", position + 4)
    return deepest
