"""More than 8 bits a channel in colour or with alpha: what Pillow cuts to 8.

PNG, JPEG 2000 and AVIF are read by imagecodecs, of the extra ``[files]``, imported when such a file is met; PPM is
plain numbers. TIFF: see ``tiff_pixels``. Arrays are (H, W, C), C as in ``raster.Raster``.
"""

import struct
from typing import Any, BinaryIO, TypeAlias

import numpy as np
from PIL import Image

from ..errors import InputError, MissingExtraError
from ..extras import require
from .codestreams import avif_bits, jpeg2000_header
from .limits import SLACK, WHOLE_FILE, check_whole
from .samples import at_full_scale

Array: TypeAlias = np.ndarray[Any, Any]


def check_installed(name: str, what: str = "colour or alpha of more than 8 bits a channel") -> None:
    """Raises MissingExtraError unless both packages are there, which ``what`` needs."""
    for module in ("tifffile", "imagecodecs"):
        require(module, extra="files", purpose=f"{name}: {what}")


def is_installed() -> bool:
    """Whether both packages are there."""
    try:
        check_installed("")
    except MissingExtraError:
        return False
    return True


def check_page(page: int | None, pages: int, name: str) -> None:
    """Raises InputError unless ``page`` is one of several."""
    if page is None:
        raise InputError(f"{name}: holds {pages} images; name one with page= or --page, from 0 to {pages - 1}")
    if page >= pages:
        raise InputError(f"{name}: has no page {page}; it holds {pages} images, 0 to {pages - 1}")


def is_deep(opened: Image.Image) -> bool:
    """Whether the file has more bits a channel than Pillow's image of it will."""
    if opened.mode.startswith(("I", "F")):
        return False
    if opened.format == "DDS":
        return str(getattr(opened, "pixel_format", "")).startswith("BC6H")  # floating point
    if opened.info.get("bit_depth", 8) > 8:  # as pillow-heif says it
        return True
    return any(_is_deep_tile(tile) for tile in getattr(opened, "tile", ()))


def _is_deep_tile(tile: Any) -> bool:
    arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
    raw_mode = str(arguments[0]) if arguments else ""
    if tile[0] == "SGI16" or (tile[0] == "sgi_rle" and arguments[-1] == 2):
        return True
    if ";16" in raw_mode and not raw_mode.startswith("BGR"):  # BGR;16 has 16 bits in all three together
        return True
    return bool(tile[0].startswith("ppm") and len(arguments) == 2 and arguments[1] > 255)


def read_deep(file: BinaryIO, opened: Image.Image, name: str, page: int) -> Array:
    """uint16; ``opened`` is Pillow's image of the file. Raises InputError for formats that can't be read deep."""
    if opened.format == "PNG" and not page:
        return read_png(png_content(file, opened, name), name)
    if opened.format == "PPM":
        return _read_ppm(file, opened, name)
    raise InputError(f"{name}: has 16 bits a channel, of which 8 would be lost; save it as PNG or TIFF")


def read_png(content: bytes, name: str) -> Array:
    """uint16; a colour declared transparent becomes alpha."""
    check_installed(name)
    import imagecodecs

    array: Array = imagecodecs.png_decode(content)
    return array if array.ndim == 3 else array[..., None]


def png_content(file: BinaryIO, opened: Image.Image, name: str) -> bytes:
    """A PNG file up to its end chunk; whatever follows is not read."""
    check_whole_png(file, opened, name)
    position = 8
    while True:
        file.seek(position)
        head = file.read(8)
        if len(head) < 8:
            break
        position += 12 + struct.unpack(">L", head[:4])[0]
        if head[4:] == b"IEND":
            break
    file.seek(0)
    return file.read(position)


def check_whole_png(file: BinaryIO, opened: Image.Image, name: str) -> None:
    """Raises InputError for a chunk larger than the pixels could need."""
    longest = 9 * opened.width * opened.height + SLACK
    file.seek(8)
    while len(head := file.read(8)) == 8:
        (length,) = struct.unpack(">L", head[:4])
        if length > longest:
            raise InputError(f"{name}: damaged; a part of {length} bytes in a PNG of {opened.width}×{opened.height}")
        if head[4:] == b"IEND":
            return
        file.seek(length + 4, 1)


def read_jpeg2000(file: BinaryIO, opened: Image.Image, name: str) -> Array | None:
    """uint8 or uint16 at full scale, where Pillow's samples would be cut or not quite at full scale; else None."""
    file.seek(0)
    start = file.read(1 << 16)
    header = jpeg2000_header(start)
    if header.bits == (8,) * len(header.bits) or header.bits in ((16,), (1,)):
        return None
    bits = header.bits[0]
    if len(header.bits) == 1:  # Pillow has shifted them up
        opened.load()
        array = np.asarray(opened)
        return at_full_scale(array >> (array.dtype.itemsize * 8 - bits), bits)[..., None]
    if set(header.bits) != {bits} or header.subsampled or bits > 16 or b"pclr" in start:
        raise InputError(f"{name}: JPEG 2000 of {header.bits} bits; save it as PNG or TIFF")
    if b"colr\1\0\0\0\0\0\x12" in start:
        raise InputError(f"{name}: JPEG 2000 of luminance and chroma in {bits} bits; save it as PNG or TIFF")
    check_whole(file, name)
    check_installed(name)
    import imagecodecs

    file.seek(0)
    return at_full_scale(imagecodecs.jpeg2k_decode(file.read()), bits)


def read_avif(file: BinaryIO, name: str, page: int) -> Array | None:
    """uint16 at full scale; None where there are 8 bits, which Pillow reads."""
    file.seek(0)
    bits = avif_bits(file.read(SLACK))
    if bits == 8:
        return None
    check_installed(name)
    import imagecodecs

    file.seek(0)
    array: Array = imagecodecs.avif_decode(file.read(WHOLE_FILE), index=page)
    array = at_full_scale(array, bits)
    return array if array.ndim == 3 else array[..., None]


def _read_ppm(file: BinaryIO, opened: Image.Image, name: str) -> Array:
    """PPM of more than 8 bits a sample: numbers in binary (P6), or in digits (P3)."""
    codec, _, offset, arguments = opened.tile[0]  # type: ignore[attr-defined]
    count = opened.width * opened.height * 3
    file.seek(offset)
    if codec == "ppm":
        content = file.read(2 * count)
        numbers = np.frombuffer(content[: len(content) // 2 * 2], ">u2")
    else:
        lines = file.read(16 * count + SLACK).split(b"\n")  # a sample has five digits at most
        numbers = np.array(b" ".join(line.partition(b"#")[0] for line in lines).split()[:count], np.uint32)
    if numbers.size < count:
        raise InputError(f"{name}: damaged; the file ends before its pixels do")
    values = numbers.reshape(opened.height, opened.width, 3).astype(np.uint32)
    top = int(arguments[1])
    return ((values.clip(0, top) * 65535 + top // 2) // top).astype(np.uint16)


def read_plain_bitmap(file: BinaryIO, opened: Image.Image, name: str) -> Array:
    """Plain PBM (P1), of the characters 0 and 1: uint8, where 1 is black."""
    file.seek(opened.tile[0][2])  # type: ignore[attr-defined]
    lines = file.read(SLACK).split(b"\n")
    digits = np.frombuffer(b"".join(line.partition(b"#")[0] for line in lines), np.uint8)
    digits = digits[(digits == ord("0")) | (digits == ord("1"))]
    count = opened.width * opened.height
    if digits.size < count:
        raise InputError(f"{name}: damaged; the file ends before its pixels do")
    black = digits[:count].reshape(opened.height, opened.width, 1) == ord("1")
    return np.where(black, 0, 255).astype(np.uint8)
