"""Files that are images but none that gifnet reads, by their content: refused with what can be done about it."""

from typing import BinaryIO

from PIL import Image

from ..errors import InputError

CAMERA_RAW = (
    "a camera raw, whose pixels have to be developed first (the small preview inside is not the image): with darktable "
    "or RawTherapee, or in Python by rawpy.imread(path).postprocess()"
)
_DRAWING = "which another program has to draw: export it as PNG or TIFF first"
_MEDICAL = "DICOM, which pydicom reads: give its pixel_array, with stretch=True"

_STARTS = {
    b"FUJIFILMCCD-RAW": CAMERA_RAW,
    b"IIU\0": CAMERA_RAW,  # Panasonic
    b"IIRO": CAMERA_RAW,  # Olympus
    b"IIRS": CAMERA_RAW,
    b"MMOR": CAMERA_RAW,
    b"\0MRM": CAMERA_RAW,  # Minolta
    b"FOVb": CAMERA_RAW,  # Sigma
    b"%!PS": f"PostScript, {_DRAWING}",
    b"\xc5\xd0\xd3\xc6": f"PostScript, {_DRAWING}",
    b"%PDF": f"PDF, {_DRAWING}",
    b"\xd7\xcd\xc6\x9a": f"a Windows metafile, {_DRAWING}",
    b"\1\0\0\0\x6c\0\0\0": f"a Windows metafile, {_DRAWING}",
    b"SIMPLE  =": "FITS: give the array that astropy.io.fits reads, with stretch=True",
    b"v/1\1": "OpenEXR: save it as floating-point TIFF first",
    b"#?RADIANCE": "Radiance HDR: save it as floating-point TIFF first",
    b"\xff\x0a": "JPEG XL: save it as PNG or TIFF first",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL: save it as PNG or TIFF first",
    b"\x89HDF": "HDF5: give the dataset that h5py opens",
    b"GRIB": "GRIB: save it as TIFF first",
}
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def refuse_unreadable(file: BinaryIO, name: str) -> None:
    """Raises InputError for what is an image of a kind that gifnet does not read. The position is left at the start."""
    start = file.read(132)
    file.seek(0)
    what = _what(start)
    if what:
        raise InputError(f"{name}: is {what}")


def _what(start: bytes) -> str | None:
    if start[4:8] == b"ftyp":
        if start[8:12] == b"crx ":
            return CAMERA_RAW
        if start[8:12] in _HEIF_BRANDS and b"avif" not in start[16:64] and "HEIF" not in Image.OPEN:
            return "HEIF: save it as JPEG or PNG first, or call pillow_heif.register_heif_opener() before"
    if start[:4] in (b"II*\0", b"MM\0*") and start[8:11] == b"CR\2":
        return CAMERA_RAW
    if start[128:132] == b"DICM":
        return _MEDICAL
    return next((what for prefix, what in _STARTS.items() if start.startswith(prefix)), None)
