"""Files by their content: those of formats that extras read, and those that gifnet does not, refused with advice."""

from typing import BinaryIO, Literal, TypeAlias

from ..errors import InputError

_DRAWING = "which another program has to draw: export it as PNG or TIFF first"

_STARTS = {
    b"%!PS": f"PostScript, {_DRAWING}",
    b"\xc5\xd0\xd3\xc6": f"PostScript, {_DRAWING}",
    b"%PDF": f"PDF, {_DRAWING}",
    b"\xd7\xcd\xc6\x9a": f"a Windows metafile, {_DRAWING}",
    b"\1\0\0\0\x6c\0\0\0": f"a Windows metafile, {_DRAWING}",
    b"SIMPLE  =": "FITS: give the array that astropy.io.fits reads, with stretch=True",
    b"\xff\x0a": "JPEG XL: save it as PNG or TIFF first",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JPEG XL: save it as PNG or TIFF first",
    b"\x89HDF": "HDF5: give the dataset that h5py opens",
    b"GRIB": "GRIB: save it as TIFF first",
}
Kind: TypeAlias = Literal["raw", "heif", "dicom", "exr", "hdr"]
_KINDS: dict[bytes, Kind] = {
    b"FUJIFILMCCD-RAW": "raw",
    b"IIU\0": "raw",  # Panasonic
    b"IIRO": "raw",  # Olympus
    b"IIRS": "raw",
    b"MMOR": "raw",
    b"\0MRM": "raw",  # Minolta
    b"FOVb": "raw",  # Sigma
    b"v/1\1": "exr",
    b"#?RADIANCE": "hdr",
    b"#?RGBE": "hdr",
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
    return next((what for prefix, what in _STARTS.items() if start.startswith(prefix)), None)


def kind_of(file: BinaryIO) -> Kind | None:
    """The kind of image, if it is one that an extra reads and its start tells. The position is left at the start."""
    start = file.read(132)
    file.seek(0)
    if start[4:8] == b"ftyp":
        if start[8:12] == b"crx ":
            return "raw"
        if start[8:12] in _HEIF_BRANDS and b"avif" not in start[16:64]:
            return "heif"
    if start[:4] in (b"II*\0", b"MM\0*") and start[8:11] == b"CR\2":
        return "raw"
    if start[128:132] == b"DICM":
        return "dicom"
    return next((kind for prefix, kind in _KINDS.items() if start.startswith(prefix)), None)
