"""Whatever kind, dtype, shape, stride and value goes in: the same kind, dtype and shape comes out."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Passing
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from gifnet import Fuser, InputError
from gifnet.files.raster import Raster
from gifnet.files.reading import read_file
from gifnet.files.writing import encode
from gifnet.images.levels import quantise

NUMPY_DTYPES = ["|u1", "<u2", ">u2", "<f2", "<f4", ">f4", "<f8", ">f8"]
TORCH_DTYPES = [torch.uint8, torch.uint16, torch.float16, torch.bfloat16, torch.float32, torch.float64]
EXAMPLES = pytest.mark.parametrize("examples", [50, pytest.param(150, marks=pytest.mark.slow)])
sides = st.integers(1, 12)


FUSER = Fuser(Passing(), device="cpu")


def so_many(examples: int) -> settings:
    """The same ones every time."""
    suppressed = [HealthCheck.too_slow]
    return settings(max_examples=examples, deadline=None, derandomize=True, suppress_health_check=suppressed)


def elements(dtype: np.dtype) -> st.SearchStrategy[Any]:
    if dtype.kind == "u":
        return st.integers(0, int(np.iinfo(dtype).max))
    return st.floats(0, 1, width=8 * dtype.itemsize)


@st.composite
def arrays(draw: st.DrawFn, height: int, width: int) -> np.ndarray:
    """An H×W or H×W×C array, often a view: steps, negative strides, transposed axes, a slice of something larger."""
    dtype = np.dtype(draw(st.sampled_from(NUMPY_DTYPES)))
    channels = draw(st.sampled_from([(), (1,), (3,), (4,)]))
    steps = draw(st.tuples(*[st.sampled_from([1, -1, 2, -3])] * 2))
    shape = (height * abs(steps[0]), width * abs(steps[1]), *channels)
    transposed = draw(st.booleans())
    if transposed:
        shape = (shape[1], shape[0], *channels)
    array = draw(hnp.arrays(dtype, shape, elements=elements(dtype)))
    if transposed:
        array = np.swapaxes(array, 0, 1)
    view = array[:: steps[0], :: steps[1]]
    assert view.shape[:2] == (height, width)
    if draw(st.booleans()):
        view.flags.writeable = False
    return view


@st.composite
def tensors(draw: st.DrawFn, height: int, width: int, batch: bool = False) -> torch.Tensor:
    dtype = draw(st.sampled_from(TORCH_DTYPES))
    lead = (draw(st.integers(1, 3)) if batch else 1,) if draw(st.booleans()) or batch else ()
    values = torch.from_numpy(
        draw(
            hnp.arrays(
                np.float32, (*lead, draw(st.sampled_from([1, 3, 4])), width, height), elements=st.floats(0, 1, width=32)
            )
        )
    )
    return quantise(values, dtype).mT  # strided


@st.composite
def pil_images(draw: st.DrawFn, height: int, width: int) -> Image.Image:
    mode = draw(st.sampled_from(["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"]))
    if mode in ("I;16", "I", "F"):
        dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        values = st.floats(0, 1, width=32) if mode == "F" else st.integers(0, 65535)
        return Image.fromarray(draw(hnp.arrays(dtype, (height, width), elements=values)))
    return Image.fromarray(draw(hnp.arrays(np.uint8, (height, width, 4)))).convert(mode)


@st.composite
def encoded(draw: st.DrawFn, height: int, width: int) -> bytes:
    """A PNG or TIFF file of any depth and mode."""
    dtype = np.dtype(draw(st.sampled_from(["uint8", "uint16", "float32"])))
    shape = (height, width, draw(st.integers(1, 4)))
    return encode(Raster(draw(hnp.arrays(dtype, shape, elements=elements(dtype)))), "drawn")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    height, width = draw(sides), draw(sides)
    kinds = st.one_of(arrays(height, width), tensors(height, width), pil_images(height, width), encoded(height, width))
    return draw(kinds), draw(kinds)


def content(image: Any) -> Any:
    """Something that equals only that of the same image."""
    if isinstance(image, np.ndarray):
        return image.tobytes(), image.strides, image.flags.writeable
    if isinstance(image, torch.Tensor):
        return image.double().tolist(), image.stride(), image.dtype
    return image if isinstance(image, bytes) else (image.mode, image.tobytes())


def channels(image: Any) -> tuple[bool, bool]:
    """Whether an image has colour, and alpha."""
    if isinstance(image, bytes):
        count = read_file(image, "drawn").array.shape[2]
        return count > 2, count in (2, 4)
    if isinstance(image, Image.Image):
        return image.mode not in ("1", "L", "LA", "I", "I;16", "F"), image.has_transparency_data
    count = (image.shape[2] if image.ndim == 3 else 1) if isinstance(image, np.ndarray) else image.shape[-3]
    return count > 1, count == 4


def check_result(result: Any, like: Any, coloured: bool, alpha: bool) -> None:
    """``like``'s kind, dtype and height and width; as many channels as there must be."""
    expected = 4 if alpha else 3 if coloured else 1
    if isinstance(like, np.ndarray):
        assert type(result) is np.ndarray
        assert result.dtype == like.dtype
        flat = expected == 1 and like.ndim == 2
        assert result.shape == (like.shape[:2] if flat else (*like.shape[:2], expected))
    elif isinstance(like, torch.Tensor):
        assert result.dtype == like.dtype
        assert result.shape == (*like.shape[:-3], expected, *like.shape[-2:])
        assert not result.is_inference()
    elif isinstance(like, bytes):
        array = read_file(result, "result").array
        before = read_file(like, "like").array
        assert array.dtype.itemsize >= before.dtype.itemsize
        assert array.shape == (*before.shape[:2], expected - (alpha and not coloured) * 2)
    else:
        assert result.size == like.size
        single = {"1": "L", "I": "I;16"}.get(like.mode, like.mode)
        wanted = {1: single, 3: "RGB", 4: "RGBA" if coloured else "LA"}[expected]
        assert result.mode == wanted


@EXAMPLES
def test_fuse_gives_the_kind_of_its_first_input(examples: int) -> None:
    @so_many(examples)
    @given(pairs())
    def check(pair: tuple[Any, Any]) -> None:
        a, b = pair
        before = content(a), content(b)
        result = FUSER.fuse(a, b)
        assert (content(a), content(b)) == before
        has = [channels(image) for image in pair]
        check_result(result, a, any(colour for colour, _ in has), any(alpha for _, alpha in has))

    check()


@EXAMPLES
def test_enhance_gives_what_it_got(examples: int) -> None:
    @so_many(examples)
    @given(st.data(), st.floats(0, 1))
    def check(data: st.DataObject, strength: float) -> None:
        x, _ = data.draw(pairs())
        before = content(x)
        result = FUSER.enhance(x, strength)
        assert content(x) == before
        check_result(result, x, *channels(x))

    check()


@EXAMPLES
def test_nothing_is_lost_at_strength_0(examples: int) -> None:
    @so_many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        x = data.draw(
            st.one_of(arrays(*data.draw(st.tuples(sides, sides))), encoded(*data.draw(st.tuples(sides, sides))))
        )
        result = FUSER.enhance(x, strength=0)
        if isinstance(x, bytes):
            np.testing.assert_array_equal(read_file(result, "result").array, read_file(x, "x").array)
        else:
            np.testing.assert_array_equal(result, x.astype(np.float32) if x.dtype.itemsize == 8 else x)

    check()


@EXAMPLES
def test_batches_keep_their_shape(examples: int) -> None:
    @so_many(examples)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        a = data.draw(tensors(*data.draw(st.tuples(sides, sides)), batch=True))
        result = FUSER.fuse(a, a)
        assert (result.shape, result.dtype) == (a.shape, a.dtype)

    check()


@EXAMPLES
def test_any_other_array_is_an_image_or_an_input_error(examples: int) -> None:
    @so_many(examples)
    @given(
        hnp.arrays(
            st.sampled_from(
                [np.dtype(name) for name in ("?", "i1", "i4", "i8", "u4", "u8", "c8", "U1", "f4", "f8", "u1", "u2")]
            ),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6),
        )
    )
    @example(np.array(["2020-01-01"], "datetime64[D]"))
    @example(np.array([None, object()], dtype=object))
    @example(np.zeros((2, 2), dtype=[("r", "u1"), ("g", "u1")]))
    @example(np.full((2, 2), 1e300))
    @example(np.full((2, 2), 65504, np.float16))
    def check(array: np.ndarray) -> None:
        try:
            result = FUSER.enhance(array)
        except InputError as error:
            assert str(error).startswith("x: ")  # noqa: PT017
        else:
            assert (result.dtype, result.shape) == (array.dtype, array.shape)

    check()


@EXAMPLES
@pytest.mark.filterwarnings("ignore")
def test_any_bytes_are_an_image_or_an_input_error(examples: int) -> None:
    @so_many(examples)
    @given(
        st.binary(max_size=64),
        st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\0\x08\0\0\0", b"\xff\xd8\xff\xe0", b"BM", b"RIFF"]),
    )
    def check(rest: bytes, start: bytes) -> None:
        try:
            result = FUSER.enhance(start + rest)
        except InputError as error:
            assert str(error).startswith("x (bytes): ")  # noqa: PT017
        else:
            assert Image.open(io.BytesIO(result)).size

    check()
