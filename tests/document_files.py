"""The files that the documents' code blocks name: small, and made for a block before it runs."""

import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import dask.array
import numpy as np
import tifffile
import torch
from conftest import EXAMPLES, ROOT
from PIL import Image

HEIGHT, WIDTH = 96, 128


def scene(seed: int = 1, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Blobs of several sizes, (H, W) in [0, 1]: structure enough to align by."""
    random = np.random.default_rng(seed)
    layers = [random.random((height // size, width // size)) for size in (12, 6)]
    resized = [cv2.resize(layer, (width, height), interpolation=cv2.INTER_CUBIC) for layer in layers]
    return np.mean(resized, axis=0).clip(0, 1).astype(np.float32)


def bytes_of(image: np.ndarray) -> np.ndarray:
    return np.round(image * 255).clip(0, 255).astype(np.uint8)


def grey(path: Path) -> None:
    Image.fromarray(bytes_of(scene())).save(path)


def colour(path: Path) -> None:
    Image.fromarray(bytes_of(np.stack([scene(), scene() ** 1.2, scene() ** 0.8], axis=-1))).save(path)


def deep(path: Path) -> None:
    Image.fromarray((scene() * 65535).astype(np.uint16)).save(path)


def other_size(path: Path) -> None:
    Image.fromarray(bytes_of(scene(height=60, width=80))).save(path)


def exposure(factor: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        Image.fromarray(bytes_of(np.stack([scene() * factor] * 3, axis=-1))).save(path)

    return make


def focused(number: int) -> np.ndarray:
    """One of three images, each sharp in a third of its width."""
    soft = cv2.GaussianBlur(bytes_of(scene()), (0, 0), 3)
    third = slice(number * WIDTH // 3, (number + 1) * WIDTH // 3)
    soft[:, third] = bytes_of(scene())[:, third]
    return soft


def focus(number: int) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(focused(number)).save(path)


def pages(path: Path) -> None:
    tifffile.imwrite(path, np.stack([focused(number) for number in range(3)]), photometric="minisblack")


def counts(path: Path) -> None:
    """A thermal camera of 14 bits, a few pixels beside the visible one."""
    moved = np.roll(scene(), 3, axis=1)
    tifffile.imwrite(path, (7000 + 2000 * moved).astype(np.uint16), photometric="minisblack")


def array(maker: Callable[[], np.ndarray]) -> Callable[[Path], None]:
    return lambda path: np.save(path, maker())


def dicom(path: Path) -> None:
    """A CT slice from -1000 to 1000 Hounsfield units, whose window is 400 wide around 40."""
    import pydicom

    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = pydicom.uid.CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.Rows, dataset.Columns, dataset.SamplesPerPixel = HEIGHT, WIDTH, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1000
    dataset.WindowCenter, dataset.WindowWidth = 40, 400
    dataset.PixelData = (scene() * 2000).astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)


def raster(bands: int, pixel: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        import rasterio
        from rasterio.transform import from_origin

        side = int(256 / pixel)
        values = np.stack([scene(seed, side, side) * 1000 + 100 for seed in range(bands)]).astype(np.uint16)
        options = {"driver": "GTiff", "count": bands, "dtype": "uint16", "height": side, "width": side}
        with rasterio.open(
            path, "w", **options, crs="EPSG:32633", transform=from_origin(5e5, 5e6, pixel, pixel)
        ) as file:
            file.write(values)

    return make


def video(path: Path) -> None:
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(4):
            frame = np.stack([np.roll(bytes_of(scene()), index, axis=1)] * 3, axis=-1)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode())


def folder(maker: Callable[[Path], None], *names: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.mkdir()
        for name in names:
            maker(path / name)

    return make


def drone(path: Path) -> None:
    path.mkdir()
    for name in ("1", "2"):
        grey(path / f"{name}_T.jpg")
        colour(path / f"{name}_W.jpg")


def sets(path: Path) -> None:
    for letter in "ab":
        (path / "task" / letter).mkdir(parents=True)
        grey(path / "task" / letter / "one.png")


def weights(path: Path) -> None:
    shutil.copy(ROOT / "weights" / "gifnet.safetensors", path)


def stack(path: Path) -> None:
    path.mkdir()
    for number in range(3):
        focus(number)(path / f"{number}.jpg")


MAKERS: dict[str, Callable[[Path], None]] = {
    "examples/data/focus_a.jpg": lambda path: Image.open(EXAMPLES / "focus_a.jpg").resize((150, 100)).save(path),
    "examples/data/focus_b.jpg": lambda path: Image.open(EXAMPLES / "focus_b.jpg").resize((150, 100)).save(path),
    "ir": folder(grey, "one.png", "two.png"),
    "vis": folder(colour, "one.jpg", "two.jpg"),
    "ir.png": grey,
    "vis.png": colour,
    "vis.jpg": colour,
    "ir.tif": deep,
    "ir.mkv": video,
    "vis.mp4": video,
    "infrared": folder(grey, "one.png", "two.png"),
    "visible": folder(colour, "one.jpg", "two.jpg"),
    "thermal": folder(counts, "one.tif", "two.tif"),
    "drone": drone,
    "stack": stack,
    "sets": sets,
    "my.safetensors": weights,
    "RUN_DIR/best.safetensors": weights,
    "pairs.csv": lambda path: path.write_text("a,b,out\none.png,two.jpg,mixed\n") and None,
    "infrared.png": grey,
    "near_infrared.png": grey,
    "visible.jpg": colour,
    "photo.jpg": colour,
    "other_size.png": other_size,
    "thermal.tif": counts,
    "stack.tif": pages,
    "near.jpg": focus(0),
    "middle.jpg": focus(1),
    "far.jpg": focus(2),
    "dark.jpg": exposure(0.4),
    "normal.jpg": exposure(1),
    "bright.jpg": exposure(2.5),
    "pet.png": colour,
    "mri.png": grey,
    "ct.dcm": dicom,
    "ct.npy": array(lambda: (scene() * 2000 - 1000).astype(np.int16)),
    "mri.npy": array(lambda: scene() * 700),
    "ms.npy": array(lambda: (np.stack([scene(seed, 24, 24) for seed in range(4)], axis=-1) * 2000).astype(np.uint16)),
    "pan.npy": array(lambda: (scene(5, HEIGHT, HEIGHT) * 2000).astype(np.uint16)),
    "ms.tif": raster(4, 8),
    "pan.tif": raster(1, 2),
    **{f"B{number}.tif": raster(1, 8) for number in (2, 3, 4)},
    "nir.tif": raster(1, 2),
    "red.tif": raster(1, 2),
    "infrared.mp4": video,
    "visible.mp4": video,
}


def frames() -> list[np.ndarray]:
    return [np.roll(bytes_of(scene()), index, axis=1) for index in range(3)]


VALUES: dict[str, Callable[[], object]] = {  # that blocks use and do not make
    **dict.fromkeys(("a", "b", "c", "d", "array_a", "array_b"), lambda: bytes_of(scene())),
    **dict.fromkeys(("tensor_a", "tensor_b"), lambda: torch.from_numpy(scene())[None]),
    **dict.fromkeys(("dask_a", "dask_b"), lambda: dask.array.from_array(scene(), chunks=32)),
    **dict.fromkeys(("camera_a", "camera_b"), frames),
    "multispectral": lambda: np.stack([scene(seed, 24, 24) for seed in range(4)], axis=-1),
    "panchromatic": lambda: scene(5, HEIGHT, HEIGHT),
}
