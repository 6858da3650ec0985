"""Bands of a TIFF beside its colours that are no alpha: near infrared beside red, green and blue.

GDAL has texts for each sample in a tag of its own, XML: ``<Item name="DESCRIPTION" sample="3"
role="description">NIR</Item>``. Of the bands kept, their descriptions and what colours they are called stay.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
GDAL_METADATA = 42112  # the tag
_ITEM = re.compile(r"<Item\s+([^<>]*)>([^<]*)</Item>")
_ATTRIBUTE = re.compile(r'(\w+)="([^"]*)"')
_ROLES = {"description": "DESCRIPTION", "colorinterp": "COLORINTERP"}
_LONGEST = 1 << 20  # characters of texts that are looked at


@dataclass(frozen=True)
class BandLabel:
    """What a file calls a band."""

    number: int  # 1 is the file's first, as GDAL counts
    texts: tuple[tuple[str, str], ...] = ()  # by role: "description", "colorinterp"


@dataclass(frozen=True)
class Band:
    """A further band, at the depth of the colours beside it."""

    array: Array  # (H, W)
    label: BandLabel


def label_of(sample: int, metadata: object) -> BandLabel:
    """Of a sample (0 is the first), with what GDAL's tag says of it, if there is one."""
    found: dict[str, str] = {}
    for given, text in _ITEM.findall(_text(metadata)):
        attributes = dict(_ATTRIBUTE.findall(given))
        if attributes.get("sample") == str(sample) and attributes.get("role") in _ROLES:
            found[attributes["role"]] = unescape(text)
    return BandLabel(sample + 1, tuple(sorted(found.items())))


def _text(tag: object) -> str:
    """Of the tag as Pillow gives it, as Latin-1; GDAL writes UTF-8."""
    if not isinstance(tag, str):
        return ""
    return tag[:_LONGEST].encode("latin-1", "replace").decode("utf-8", "replace")


def gdal_metadata(first: int, bands: Sequence[Band]) -> bytes:
    """GDAL's tag for bands whose first one is the sample ``first``; empty where nothing is said of any."""
    items = [
        f'  <Item name="{_ROLES[role]}" sample="{sample}" role="{role}">{escape(text, quote=False)}</Item>'
        for sample, band in enumerate(bands, first)
        for role, text in band.label.texts
    ]
    return "\n".join(["<GDALMetadata>", *items, "</GDALMetadata>"]).encode() if items else b""


def numbers(bands: Iterable[Band]) -> str:
    """For messages: "band 4", "bands 4, 5"."""
    found = [str(band.label.number) for band in bands]
    return f"band{'s' if len(found) > 1 else ''} {', '.join(found)}"
