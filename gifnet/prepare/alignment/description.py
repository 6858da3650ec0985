"""An image as the orientations of its edges, at several resolutions."""

import math
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from ...errors import AlignmentError, InputError
from ...images import colour
from ...images.picture import Picture
from .opencv import opencv
from .resampling import Array

GAMMA = 2.2  # of files, about: linear light is this power of their values
MIN_SIDE = 32  # pixels; smaller images hold too little to tell a match from chance


AnySource = TypeVar("AnySource", bound="Source")


@dataclass(frozen=True, eq=False)
class Source:
    """An image to describe at several resolutions."""

    image: Array  # (H, W, 1 or 3) float32, its range stretched to about [0, 1]
    valid: Array  # (H, W) float32: 1, or 0 where transparent

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[1], self.image.shape[0]

    @classmethod
    def of(cls, picture: Picture) -> "Source":
        if len(picture.pixels) != 1:
            raise InputError(f"{picture.name}: a batch of {len(picture.pixels)} images; align one pair at a time")
        if min(picture.pixels.shape[-2:]) < MIN_SIDE or max(picture.pixels.shape[-2:]) >= 2**15:
            raise InputError(
                f"{picture.name}: {picture.size} pixels; sides of {MIN_SIDE} to {2**15 - 1} can be aligned"
            )
        image = np.ascontiguousarray(picture.pixels[0].permute(1, 2, 0).cpu().numpy())
        shape = image.shape[:2]
        valid = np.ones(shape, np.float32) if picture.alpha is None else picture.alpha[0, 0].cpu().numpy()
        valid = (valid > 0.5).astype(np.float32)
        seen = image[valid > 0]
        low, high = np.percentile(seen, (0.5, 99.5)) if seen.size else (0, 0)
        if high <= low:
            low, high = (seen.min(), seen.max()) if seen.size else (0, 0)
        if high <= low:
            raise AlignmentError(f"{picture.name}: has no edges to align by, it is the same everywhere")
        return cls(((image - low) / (high - low)).clip(-0.5, 1.5).astype(np.float32), valid)

    def at(self: AnySource, side: int) -> tuple[AnySource, Array]:
        """Reduced to ``side`` pixels on the longer side; and the matrix from its pixels to the reduced ones."""
        cv2 = opencv()
        width, height = self.size
        factor = side / max(width, height)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        x, y = size[0] / width, size[1] / height
        matrix = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        if size == self.size:
            return self, matrix
        image = cv2.resize(self.image, size, interpolation=cv2.INTER_AREA)
        valid = cv2.resize(self.valid, size, interpolation=cv2.INTER_AREA)
        valid = (valid > 0.99).astype(np.float32)
        return replace(self, image=image.reshape(*size[::-1], -1), valid=valid), matrix

    def warped(self: AnySource, matrix: Array, size: tuple[int, int]) -> AnySource:
        """Seen through ``matrix`` (from the new pixels to this image's)."""
        image = warp(self.image, matrix, size, replicate=True).reshape(*size[::-1], -1)
        return replace(self, image=image, valid=(warp(self.valid, matrix, size) > 0.99).astype(np.float32))

    def described(self) -> "Edges":
        """Orientation harmonics, locally normalised."""
        cv2 = opencv()
        energy: Any = 0
        harmonics: Any = [0, 0]
        for channel in np.moveaxis(self.image, -1, 0):
            smooth = cv2.GaussianBlur(np.ascontiguousarray(channel), (0, 0), 1.0)
            x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
            y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
            length = np.hypot(x, y)
            turn = ((x + 1j * y) / np.maximum(length, 1e-9)) ** 2
            energy = energy + length**2
            harmonics = [harmonics[0] + length * turn, harmonics[1] + length * turn**2]
        valid = self._away_from_nothing()
        noise = 0.004 * math.sqrt(self.image.shape[2])  # of the range and pixel: no edge, and not to be amplified
        scale = valid / (np.sqrt(_mean_around(energy, valid)) + noise)
        planes = [part * scale for harmonic in harmonics for part in (harmonic.real, harmonic.imag)]
        values = cv2.GaussianBlur(np.stack(planes, axis=-1).astype(np.float32), (0, 0), 1.5)
        return Edges(values, valid)

    def _away_from_nothing(self) -> Array:
        """What is valid but for what is next to transparent pixels, which has an edge only because of that."""
        valid: Array = opencv().erode(self.valid, np.ones((5, 5), np.uint8), borderType=opencv().BORDER_REPLICATE)
        return valid


@dataclass(frozen=True, eq=False)
class SameSensor(Source):
    """Luminance in linear light, of images of one sensor that differ in focus or exposure.

    There, edges keep their direction from dark to bright, so that gradients as they are tell more than orientations.
    In linear light, defocus blurs an edge to both sides alike; in that of files, bright spreads over dark, and edges
    seem to move.
    """

    @classmethod
    def of(cls, picture: Picture) -> "SameSensor":
        source = super().of(picture)  # and its checks
        luma = colour.luma_of(picture.pixels)[0, 0].cpu().numpy()
        return cls(np.ascontiguousarray(luma[..., None] ** GAMMA), source.valid)

    def described(self) -> "Edges":
        """Gradients at two scales, locally normalised."""
        cv2 = opencv()
        valid = self._away_from_nothing()
        planes = []
        for deviation in (1.0, 2.0):
            smooth = cv2.GaussianBlur(np.ascontiguousarray(self.image[..., 0]), (0, 0), deviation)
            x = cv2.Scharr(smooth, cv2.CV_32F, 1, 0, scale=1 / 32)
            y = cv2.Scharr(smooth, cv2.CV_32F, 0, 1, scale=1 / 32)
            scale = valid / np.sqrt(_mean_around(x * x + y * y, valid) + 0.002**2)
            planes += [x * scale, y * scale]
        return Edges(np.stack(planes, axis=-1).astype(np.float32), valid)


def _mean_around(plane: Array, valid: Array) -> Array:
    """The mean of the valid pixels around each."""

    def blurred(plane: Array) -> Array:
        result: Array = opencv().GaussianBlur(plane, (0, 0), 8.0, borderType=opencv().BORDER_CONSTANT)
        return result

    return blurred(plane * valid) / (blurred(valid) + 1e-6)


@dataclass(frozen=True, eq=False)
class Edges:
    """Four planes that tell of edges, about zero mean: real and imaginary parts of both harmonics, or gradients."""

    values: Array  # (H, W, 4) float32
    valid: Array  # (H, W) float32, 0 or 1

    @property
    def size(self) -> tuple[int, int]:
        return self.values.shape[1], self.values.shape[0]

    def warped(self, matrix: Array) -> "Edges":
        valid = (warp(self.valid, matrix, self.size) > 0.99).astype(np.float32)
        return Edges(warp(self.values, matrix, self.size), valid)


def warp(planes: Array, matrix: Array, size: tuple[int, int], replicate: bool = False) -> Array:
    cv2 = opencv()
    border = cv2.BORDER_REPLICATE if replicate else cv2.BORDER_CONSTANT
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Array = cv2.warpPerspective(planes, matrix, size, flags=flags, borderMode=border)
    return warped
