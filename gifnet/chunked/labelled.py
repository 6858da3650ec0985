"""``xarray.DataArray``: its labels taken off, and put back on what was made of its values.

Rows and columns are told by the names of the dimensions; what dimension is left holds the channels, wherever it stands.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..prepare.preparation import Preparation
from .kinds import is_labelled

# Names of rows and columns, as rioxarray and the CF conventions have them; also with capitals.
SPATIAL = (("y", "x"), ("lat", "lon"), ("latitude", "longitude"), ("row", "column"), ("row", "col"),
           ("northing", "easting"), ("height", "width"))  # fmt: skip
NEAR = 1e-3  # of the distance of two pixels, by which coordinates may differ that are the same


@dataclass(frozen=True)
class Axes:
    """Which dimensions are rows, columns and channels."""

    rows: Hashable
    columns: Hashable
    channels: Hashable | None

    @classmethod
    def of(cls, image: Any, name: str) -> "Axes":
        """Raises InputError where the dimensions' names don't tell."""
        dims = tuple(image.dims)
        known = {str(dim).lower(): dim for dim in dims}
        if len(dims) in (2, 3):
            for rows, columns in SPATIAL:
                if rows in known and columns in known:
                    others = [dim for dim in dims if dim not in (known[rows], known[columns])]
                    return cls(known[rows], known[columns], *(others or [None]))
            if len(dims) == 2:
                return cls(*dims, None)
        raise InputError(
            f"{name}: DataArray with the dimensions {', '.join(map(str, dims))}; give two, rows and columns, or three "
            "of which two are called y and x (or lat and lon)"
        )

    @property
    def dims(self) -> list[Hashable]:
        """Rows, columns and channels, if there are any."""
        return [self.rows, self.columns, *([] if self.channels is None else [self.channels])]

    def values(self, image: Any) -> Any:
        """The values (H, W) or (H, W, C), as they are stored: a Dask array or another one."""
        return image.transpose(*self.dims).data


@dataclass(frozen=True)
class Labelled:
    """Images of which some have labels."""

    images: list[Any]
    axes: list[Axes | None]

    @classmethod
    def of(cls, images: Sequence[Any], preparation: Preparation, out: Any) -> "Labelled":
        """Raises InputError for dimensions that are no image's, for images on different coordinates, and for options
        that change which pixels there are.
        """
        for option in ("resize", "align"):
            if getattr(preparation, option) not in (None, False):
                raise InputError(
                    f"{option}: changes the coordinates of a DataArray; bring one to the other's grid first, by its "
                    "rio.reproject_match or interp_like, or give the arrays' values"
                )
        if out is not None:
            raise InputError("out: not with DataArrays; give the arrays' values, or store the result")
        names = "ab" if len(images) > 1 else "x"
        named = [(image, names[index] if index < len(names) else f"image {index + 1}")
                 for index, image in enumerate(images)]  # fmt: skip
        axes = [Axes.of(image, name) if is_labelled(image) else None for image, name in named]
        known = [(*one, which) for one, which in zip(named, axes, strict=True) if which is not None]
        for image, name, which in known[1:]:
            check_same_place(known[0][0], known[0][2], image, which, (known[0][1], name))
        return cls(list(images), axes)

    @property
    def arrays(self) -> list[Any]:
        """The images without labels."""
        return [
            image if axes is None else axes.values(image) for image, axes in zip(self.images, self.axes, strict=True)
        ]

    def label(self, result: Any) -> Any:
        """What was made of the arrays, (H, W) or (H, W, C), with the first one's labels; without, if it has none."""
        first, axes = self.images[0], self.axes[0]
        if axes is None:
            return result
        if isinstance(result, tuple):
            return (self.label(result[0]), *result[1:])
        return relabelled(result, first, axes, self._channels(result))

    def _channels(self, result: Any) -> tuple[Any, Axes] | None:
        """The image that has as many channels as the result, if it has any."""
        if result.ndim == 2:
            return None
        for image, axes in zip(self.images, self.axes, strict=True):
            if axes is not None and axes.channels is not None and image.sizes[axes.channels] == result.shape[2]:
                return image, axes
        return None


def relabelled(values: Any, like: Any, axes: Axes, channels: tuple[Any, Axes] | None = None, attrs: Any = None) -> Any:
    """Values (H, W) or (H, W, C) as a DataArray with rows and columns of ``like``: coordinates, attributes, CRS, name.

    ``channels``: the image whose channels the result has; where it is None, channels have no coordinates. ``attrs``:
    instead of those of ``like``.
    """
    dims: list[Any] = [axes.rows, axes.columns]
    band: Any = None
    if values.ndim == 3:
        band = channels[1].channels if channels else axes.channels if axes.channels is not None else "band"
        dims.append(band)
    coordinates = {name: one for name, one in like.coords.items() if axes.channels not in one.dims}
    order = like.dims if axes.channels is not None else (*like.dims, band)
    if channels is not None:
        image, its = channels
        coordinates |= {name: one for name, one in image.coords.items() if its.channels in one.dims}
        order = tuple({its.rows: axes.rows, its.columns: axes.columns}.get(dim, dim) for dim in image.dims)
    elif band is not None:
        order = tuple(band if dim == axes.channels else dim for dim in order)
    result = type(like)(values, coordinates, dims, like.name, dict(like.attrs if attrs is None else attrs))
    result.name = like.name  # without one, xarray takes the Dask array's
    result.encoding = {key: value for key, value in like.encoding.items() if key in ("grid_mapping", "_FillValue")}
    return result.transpose(*(dim for dim in order if dim in result.dims))


def check_same_place(a: Any, of_a: Axes, b: Any, of_b: Axes, names: tuple[str, str]) -> None:
    """Raises InputError where two images of one size have different coordinates of rows or columns."""
    for one, other in ((of_a.rows, of_b.rows), (of_a.columns, of_b.columns)):
        if a.sizes[one] != b.sizes[other] or one not in a.coords or other not in b.coords:
            continue  # sizes are compared elsewhere
        here, there = np.asarray(a.coords[one]), np.asarray(b.coords[other])
        if here.dtype.kind not in "iuf" or there.dtype.kind not in "iuf":
            continue
        step = abs(float(here[-1] - here[0])) / max(1, len(here) - 1)
        if np.abs(here.astype(np.float64) - there).max() > NEAR * step:
            raise InputError(
                f"{names[0]} and {names[1]} have different coordinates {one}; bring one to the other's, by its "
                "rio.reproject_match or interp_like"
            )
