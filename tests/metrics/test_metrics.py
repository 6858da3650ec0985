"""The metrics against other implementations (scikit-image, SciPy, NumPy, sewar) and values worked out by hand."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from conftest import ROOT, SHARED
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, signal, stats
from sewar import full_ref
from skimage import measure
from skimage import metrics as skimage_metrics

import gifnet.metrics as gm
from gifnet import InputError
from gifnet.metrics import METRICS

Plane = NDArray[np.float64]
GOLDEN = SHARED / "reference" / "golden"
PAIRWISE = [name for name, metric in METRICS.items() if set(metric.inputs) <= {"fused", "a", "b"}]
SPECTRAL = [name for name in METRICS if name not in PAIRWISE]


def texture(seed: int, height: int = 180, width: int = 200) -> Plane:
    """Something like a photograph: noise of several scales, on the levels 0..255."""
    rng = np.random.default_rng(seed)
    plane = sum(scale * ndimage.gaussian_filter(rng.normal(size=(height, width)), scale) for scale in (1, 3, 9))
    plane = (plane - plane.min()) / (plane.max() - plane.min())
    return np.round(255 * plane)


def tensor(*planes: Plane) -> torch.Tensor:
    """Levels 0..255 to a batch (B, 1, H, W) in [0, 1]."""
    return torch.tensor(np.stack(planes)[:, None] / 255, dtype=torch.float32)


@pytest.fixture(scope="module")
def scene() -> tuple[Plane, Plane, Plane]:
    """A fused image and its sources, alike but not equal."""
    a, b = texture(1), texture(2)
    fused = np.round(0.6 * a + 0.4 * b + 0.5 * (texture(3) - 128)).clip(0, 255)
    return fused, a, b


@pytest.fixture(scope="module")
def planes(scene: tuple[Plane, Plane, Plane]) -> tuple[torch.Tensor, ...]:
    return tuple(tensor(plane) for plane in scene)


def ramp(step: float, height: int = 5, width: int = 9) -> Plane:
    """Grows by ``step`` levels a pixel to the right."""
    return np.tile(step * np.arange(width, dtype=np.float64), (height, 1))


def constant(level: float, side: int = 200) -> Plane:
    return np.full((side, side), float(level))


# Grey levels


def test_entropy_is_that_of_scikit_image(scene: tuple[Plane, ...]) -> None:
    expected = [measure.shannon_entropy(plane.astype(np.uint8), base=2) for plane in scene]
    assert gm.entropy(tensor(*scene)).numpy() == pytest.approx(expected, abs=1e-9)


def test_entropy_by_hand() -> None:
    every_level = np.arange(256.0).reshape(16, 16)
    quarters = np.array([[0.0, 255.0], [0.0, 0.0]])  # ¼ log2 4 + ¾ log2 (4/3)
    assert float(gm.entropy(tensor(every_level))) == pytest.approx(8, abs=1e-12)
    assert float(gm.entropy(tensor(constant(77)))) == 0
    assert float(gm.entropy(tensor(quarters))) == pytest.approx(0.5 + 0.75 * math.log2(4 / 3), abs=1e-12)


def test_entropy_rounds_to_256_levels() -> None:
    """A fused image in floating point counts as the 8-bit image it will be saved as."""
    nearly = tensor(constant(100)) + torch.linspace(-0.4, 0.4, 200) / 255
    assert float(gm.entropy(nearly)) == 0


def test_standard_deviation(scene: tuple[Plane, ...]) -> None:
    assert gm.standard_deviation(tensor(*scene)).numpy() == pytest.approx([p.std() for p in scene], rel=1e-5)
    assert float(gm.standard_deviation(tensor(np.array([[0.0, 255.0]])))) == 127.5  # 180.3 if divided by n - 1
    assert float(gm.standard_deviation(tensor(constant(9)))) == pytest.approx(0, abs=1e-4)


def test_mutual_information_is_that_of_scipy(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    def information(x: Plane, y: Plane) -> float:
        joint, _, _ = np.histogram2d(x.ravel(), y.ravel(), bins=256, range=[[-0.5, 255.5]] * 2)
        independent = np.outer(joint.sum(1), joint.sum(0))
        return float(stats.entropy(joint.ravel(), independent.ravel(), base=2))  # relative entropy

    fused, a, b = scene
    expected = information(fused, a) + information(fused, b)
    assert float(gm.mutual_information(*planes)) == pytest.approx(expected, abs=1e-9)


def test_mutual_information_by_hand(planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, _ = planes
    assert float(gm.mutual_information(a, a, a)) == pytest.approx(2 * float(gm.entropy(a)), abs=1e-9)
    assert float(gm.mutual_information(torch.full_like(fused, 0.5), fused, a)) == pytest.approx(0, abs=1e-9)
    # Two bits, one of which the fused image has: one bit of one source, none of the other.
    bits = tensor(np.array([[0.0, 0.0, 255.0, 255.0]]))
    fine = tensor(np.array([[0.0, 80.0, 160.0, 240.0]]))
    apart = tensor(np.array([[0.0, 255.0, 0.0, 255.0]]))
    assert float(gm.mutual_information(bits, fine, apart)) == pytest.approx(1, abs=1e-12)


def test_correlations_are_those_of_scipy(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    def r(x: Plane, y: Plane) -> float:
        return float(stats.pearsonr(x.ravel(), y.ravel()).statistic)

    fused, a, b = scene
    assert float(gm.correlation_coefficient(*planes)) == pytest.approx((r(fused, a) + r(fused, b)) / 2, abs=1e-5)
    expected = r(fused - b, a) + r(fused - a, b)
    assert float(gm.sum_of_difference_correlations(*planes)) == pytest.approx(expected, abs=1e-5)


def test_saturating_differences(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    """NumPy's clip, on levels, gives what 8-bit subtraction gives."""
    fused, a, b = scene
    expected = sum(
        float(stats.pearsonr((fused - other).clip(min=0).ravel(), source.ravel()).statistic)
        for source, other in ((a, b), (b, a))
    )
    assert float(gm.sum_of_difference_correlations(*planes, saturating=True)) == pytest.approx(expected, abs=1e-5)
    assert float(gm.sum_of_difference_correlations(*planes)) != pytest.approx(expected, abs=0.01)


def test_correlations_by_hand(planes: tuple[torch.Tensor, ...]) -> None:
    _, a, b = planes
    flat = torch.full_like(a, 0.3)
    assert float(gm.correlation_coefficient(a, a, a)) == pytest.approx(1, abs=1e-6)
    assert float(gm.correlation_coefficient(a, a, 1 - a)) == pytest.approx(0, abs=1e-6)
    assert float(gm.correlation_coefficient(flat, a, b)) == 0
    # The sum of both: what it has beyond either source is the other.
    assert float(gm.sum_of_difference_correlations((a + b) / 2, a / 2, b / 2)) == pytest.approx(2, abs=1e-5)
    # A copy of b has gained nothing of a.
    own = float(gm.sum_of_difference_correlations(b, a, b))
    r = stats.pearsonr((b - a).flatten().numpy(), b.flatten().numpy()).statistic
    assert own == pytest.approx(r, abs=1e-5)


# Gradients


def test_edge_intensity_is_that_of_scipy(scene: tuple[Plane, ...]) -> None:
    expected = [
        np.hypot(ndimage.sobel(p, axis=0, mode="nearest"), ndimage.sobel(p, axis=1, mode="nearest")).mean()
        for p in scene
    ]
    assert gm.edge_intensity(tensor(*scene)).numpy() == pytest.approx(expected, rel=1e-5)


def test_average_gradient_is_that_of_numpy(scene: tuple[Plane, ...]) -> None:
    expected = []
    for plane in scene:
        down, right = np.gradient(plane)
        expected.append(np.sqrt((down**2 + right**2) / 2).sum() / ((plane.shape[0] - 1) * (plane.shape[1] - 1)))
    assert gm.average_gradient(tensor(*scene)).numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("step", [1, 20])
def test_gradients_of_a_ramp(step: float) -> None:
    x = tensor(ramp(step, height=5, width=9))
    # Inside, Sobel sees 8 steps; the first and the last of nine columns, replicated, 4.
    assert float(gm.edge_intensity(x)) == pytest.approx(step * (7 * 8 + 2 * 4) / 9, rel=1e-5)
    assert float(gm.average_gradient(x)) == pytest.approx(step / math.sqrt(2) * 45 / 32, rel=1e-5)
    assert float(gm.average_gradient(x, "forward")) == pytest.approx(step / math.sqrt(2), rel=1e-5)
    assert float(gm.spatial_frequency(x)) == pytest.approx(step * math.sqrt(8 / 9), rel=1e-5)


def test_forward_and_central_differences_of_a_step() -> None:
    """One edge of 100 levels: forward differences meet it once, central ones twice at half height."""
    x = tensor(np.repeat([[0.0, 0, 0, 100, 100, 100]], 4, axis=0))
    assert float(gm.average_gradient(x, "forward")) == pytest.approx(100 / math.sqrt(2) * 3 / 15, rel=1e-5)
    assert float(gm.average_gradient(x)) == pytest.approx(2 * 50 / math.sqrt(2) * 4 / 15, rel=1e-5)
    with pytest.raises(InputError, match="'central' or 'forward'"):
        gm.average_gradient(x, "backward")  # type: ignore[arg-type]


def test_spatial_frequency_of_a_chessboard() -> None:
    """Every neighbour differs by 255: 2 · 8 · 7 differences over 64 pixels."""
    board = 255.0 * (np.indices((8, 8)).sum(axis=0) % 2)
    assert float(gm.spatial_frequency(tensor(board))) == pytest.approx(255 * math.sqrt(112 / 64), rel=1e-5)


@pytest.mark.parametrize("name", ["EI", "AG", "SF", "EN", "SD"])
def test_a_constant_image_shows_nothing(name: str) -> None:
    assert float(METRICS[name].function(tensor(constant(90)))) == pytest.approx(0, abs=1e-4)


# Fidelity


def test_psnr_is_that_of_scikit_image(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, b = scene
    stacked = skimage_metrics.peak_signal_noise_ratio(np.stack([a, b]), np.stack([fused, fused]), data_range=255)
    assert float(gm.psnr(*planes)) == pytest.approx(stacked, abs=1e-3)


def test_psnr_by_hand() -> None:
    dark = torch.full((1, 1, 8, 8), 0.1)  # its largest value is 0.2, and the peak still 1
    assert float(gm.psnr(dark + 0.1, dark, dark)) == pytest.approx(20, abs=1e-4)
    # Errors of 0.1 and 0: half the mean squared error is 3.01 dB more. The mean of the decibels would be infinite.
    assert float(gm.psnr(dark, dark, dark + 0.1)) == pytest.approx(20 + 10 * math.log10(2), abs=1e-4)
    assert float(gm.psnr(dark, dark, dark)) == math.inf


def test_ssim_is_that_of_scikit_image(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, b = scene
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    expected = [skimage_metrics.structural_similarity(fused, source, **options) for source in (a, b)]
    assert float(gm.ssim(*planes)) == pytest.approx(sum(expected) / 2, abs=1e-4)


def test_ssim_by_hand() -> None:
    """Constant images differ in luminance only: (2·x·y + C1) / (x² + y² + C1).

    float64, since where nothing varies, rounding in float32 shows against C2: 1e-4.
    """
    low, high = (torch.full((1, 1, 16, 16), value, dtype=torch.float64) for value in (0.2, 0.6))
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.04 + 0.36 + 1e-4)
    assert float(gm.ssim(low, high, high)) == pytest.approx(expected, abs=1e-9)
    assert float(gm.ssim(low, high, low)) == pytest.approx((expected + 1) / 2, abs=1e-9)
    assert float(gm.ssim(low.float(), high.float(), high.float())) == pytest.approx(expected, abs=2e-4)


def ms_ssim_with_scipy(x: Plane, y: Plane) -> float:
    """Wang et al., 2003, on levels 0..255: only windows inside the image, 2×2 means between scales."""

    def windowed(plane: Plane) -> Plane:
        return ndimage.gaussian_filter(plane, 1.5, truncate=3.5)[5:-5, 5:-5]

    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mx, my = windowed(x), windowed(y)
        vx, vy, vxy = windowed(x * x) - mx**2, windowed(y * y) - my**2, windowed(x * y) - mx * my
        c1, c2 = 2.55**2, 7.65**2
        similarity = (2 * vxy + c2) / (vx + vy + c2)
        if scale == 4:
            similarity = similarity * (2 * mx * my + c1) / (mx**2 + my**2 + c1)
        product *= similarity.mean() ** weight
        height, width = (side // 2 * 2 for side in x.shape)
        x, y = (plane[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for plane in (x, y))
    return product


def test_ms_ssim(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    """SciPy: torchmetrics takes the border into the coarsest scale's mean, 11×12 pixels, of weight 0.13: 0.005.

    sewar: it halves by means of other pixels (shifted by one) and takes other borders: 0.02.
    """
    fused, a, b = scene
    ours = float(gm.ms_ssim(*planes))
    assert ours == pytest.approx((ms_ssim_with_scipy(fused, a) + ms_ssim_with_scipy(fused, b)) / 2, abs=0.005)
    theirs = [full_ref.msssim(source.astype(np.uint8), fused.astype(np.uint8)).real for source in (a, b)]
    assert ours == pytest.approx(sum(theirs) / 2, abs=0.02)


def test_vif_is_that_of_sewar(scene: tuple[Plane, ...], planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, b = scene
    expected = full_ref.vifp(a, fused) + full_ref.vifp(b, fused)
    assert float(gm.vif(*planes)) == pytest.approx(expected, rel=1e-4)
    assert float(gm.vif(planes[1], planes[0], planes[2])) != pytest.approx(expected, rel=0.05)  # sources are references


def test_vif_by_hand(planes: tuple[torch.Tensor, ...]) -> None:
    _, a, b = planes
    flat = torch.full_like(a, 0.4)
    weak = 0.25 + a / 2
    assert float(gm.vif(a, a, a)) == pytest.approx(2, abs=1e-5)
    assert float(gm.vif(flat, a, b)) == pytest.approx(0, abs=1e-5)
    assert float(gm.vif(a, weak, weak)) > 2.05  # twice the contrast
    assert float(gm.vif(weak, a, a)) < 1.95
    assert math.isnan(float(gm.vif(a, flat, a)))


@pytest.mark.parametrize("name", ["SSIM", "MS-SSIM", "CC"])
def test_an_image_with_itself(name: str, planes: tuple[torch.Tensor, ...]) -> None:
    a = planes[1]
    assert float(METRICS[name].function(a, a, a)) == pytest.approx(1, abs=1e-6)


# Edges


def edges_with_scipy(plane: Plane, border: str, divisor: float) -> tuple[Plane, Plane]:
    """Strength and orientation of Sobel's gradient, by convolution, on a plane padded beforehand."""
    padded = np.pad(plane, 1, mode=border)  # type: ignore[call-overload]
    kernel = np.array([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]) / divisor  # convolution flips it
    across = signal.convolve2d(padded, kernel, mode="valid")
    down = signal.convolve2d(padded, kernel.T, mode="valid")
    angle = np.full(plane.shape, math.pi / 2)
    np.divide(down, across, out=angle, where=across != 0)
    angle[across != 0] = np.arctan(angle[across != 0])
    return np.hypot(across, down), angle


def sigmoid(gain: float, steepness: float, middle: float, value: float) -> float:
    return gain / (1 + math.exp(-steepness * (value - middle)))


def qabf_by_pixel(fused: Plane, a: Plane, b: Plane) -> float:
    """Xydeas and Petrović, 2000, as printed, a pixel at a time."""
    strength_f, angle_f = edges_with_scipy(fused, "constant", 1)
    kept = total = 0.0
    for source in (a, b):
        strength, angle = edges_with_scipy(source, "constant", 1)
        for index in np.ndindex(fused.shape):
            g, h = strength[index], strength_f[index]
            ratio = 1.0 if g == h else min(g, h) / max(g, h)
            agreement = 1 - abs(angle[index] - angle_f[index]) / (math.pi / 2)
            kept += g * sigmoid(0.9994, 15, 0.5, ratio) * sigmoid(0.9879, 22, 0.8, agreement)
            total += g
    return kept / total


def nabf_by_pixel(fused: Plane, a: Plane, b: Plane) -> float:
    """Shreyamsha Kumar, 2013, a pixel at a time."""
    strength_f, angle_f = edges_with_scipy(fused, "reflect", 8)
    sources = [edges_with_scipy(source, "reflect", 8) for source in (a, b)]
    invented = total = 0.0
    for index in np.ndindex(fused.shape):
        h = strength_f[index]
        loss = 0.0
        for strength, angle in sources:
            g = strength[index]
            ratio = 0.0 if min(g, h) == 0 else min(g, h) / max(g, h)
            agreement = abs(abs(angle[index] - angle_f[index]) - math.pi / 2) / (math.pi / 2)
            quality = math.sqrt(sigmoid(0.9999, 19, 0.5, ratio) * sigmoid(0.9995, 22, 0.5, agreement))
            weight = g**1.5 if g >= 2 else 0.001
            loss += (1 - quality) * weight
            total += weight
        if all(h > strength[index] for strength, _ in sources):
            invented += loss
    return invented / total


@pytest.mark.parametrize(("name", "reference"), [("Qabf", qabf_by_pixel), ("Nabf", nabf_by_pixel)])
def test_edge_measures_pixel_by_pixel(name: str, reference: object, scene: tuple[Plane, ...]) -> None:
    """float64, since equal strengths and vertical edges are told apart exactly."""
    crops = [plane[40:90, 30:97] for plane in scene]
    assert callable(reference)
    ours = METRICS[name].function(*(tensor(crop).double() * 1.0 for crop in crops))
    exact = METRICS[name].function(*(torch.tensor(crop[None, None] / 255) for crop in crops))
    expected = reference(*crops)
    assert 0.02 < expected < 0.9  # a scene that says something
    assert float(exact) == pytest.approx(expected, abs=1e-6)
    assert float(ours) == pytest.approx(expected, abs=1e-3)


def test_edges_of_an_image_with_itself(planes: tuple[torch.Tensor, ...]) -> None:
    """Strength and orientation kept in full: the sigmoids' values at 1, which fall short of it."""
    a = planes[1]
    best = sigmoid(0.9994, 15, 0.5, 1) * sigmoid(0.9879, 22, 0.8, 1)
    assert float(gm.edge_preservation(a, a, a)) == pytest.approx(best, abs=1e-6)
    assert best == pytest.approx(METRICS["Qabf"].range[1], abs=5e-4)
    assert float(gm.fusion_artifacts(a, a, a)) == 0


def test_lost_and_invented_edges(planes: tuple[torch.Tensor, ...]) -> None:
    _, a, b = planes
    black = torch.zeros_like(a)
    slope = tensor(ramp(1, 180, 200))
    assert float(gm.edge_preservation(black, a, b)) < 0.01  # all lost
    assert float(gm.fusion_artifacts(black, a, b)) == 0  # none invented
    assert float(gm.fusion_artifacts(slope, black, black)) == pytest.approx(0.99 * 198 / 200, abs=0.01)  # all invented
    assert math.isnan(float(gm.edge_preservation(a, black, black)))


# Pan-sharpening


@pytest.fixture(scope="module")
def bands() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Reference and fused bands (2, 4, 48, 40) in digital numbers of 11 bits."""
    rng = np.random.default_rng(5)
    reference = np.stack([[400 + 4 * texture(10 * i + band, 48, 40) for band in range(4)] for i in range(2)])
    return reference, reference * rng.normal(1, 0.05, reference.shape) + 10


def test_ergas_is_that_of_sewar(bands: tuple[NDArray[np.float64], ...]) -> None:
    reference, fused = bands
    expected = [
        full_ref.ergas(r.transpose(1, 2, 0), f.transpose(1, 2, 0), r=1 / 4)
        for r, f in zip(reference, fused, strict=True)
    ]
    assert gm.ergas(torch.tensor(fused), torch.tensor(reference)).numpy() == pytest.approx(expected, rel=1e-9)


def test_ergas_by_hand() -> None:
    """Off by 5 of 50 in one band and by 0 in the other: 100/4 · sqrt((0.1² + 0) / 2)."""
    reference = torch.tensor([50.0, 200.0])[None, :, None, None].expand(1, 2, 6, 6)
    fused = torch.tensor([55.0, 200.0])[None, :, None, None].expand(1, 2, 6, 6)
    assert float(gm.ergas(fused, reference)) == pytest.approx(25 * 0.1 / math.sqrt(2), rel=1e-9)
    assert float(gm.ergas(fused, reference, ratio=2)) == pytest.approx(50 * 0.1 / math.sqrt(2), rel=1e-9)
    assert float(gm.ergas(reference, reference)) == 0
    with pytest.raises(InputError, match="ratio must be positive"):
        gm.ergas(fused, reference, ratio=0)


def test_sam_is_the_mean_angle(bands: tuple[NDArray[np.float64], ...]) -> None:
    reference, fused = bands
    cosine = (reference * fused).sum(1) / np.linalg.norm(reference, axis=1) / np.linalg.norm(fused, axis=1)
    expected = np.degrees(np.arccos(cosine)).mean(axis=(1, 2))
    assert gm.sam(torch.tensor(fused), torch.tensor(reference)).numpy() == pytest.approx(expected, rel=1e-9)


def test_sam_by_hand() -> None:
    def pixel(*values: float) -> torch.Tensor:
        return torch.tensor(values)[None, :, None, None]

    assert float(gm.sam(pixel(1, 1), pixel(3, 0))) == pytest.approx(45, abs=1e-6)
    assert float(gm.sam(pixel(0, 1), pixel(3, 0))) == pytest.approx(90, abs=1e-6)
    assert float(gm.sam(pixel(2, 4, 6), pixel(1, 2, 3))) == pytest.approx(0, abs=1e-5)  # brightness is no angle
    beside_nothing = torch.cat([pixel(1, 1), pixel(0, 0)], dim=3), torch.cat([pixel(1, 0), pixel(1, 0)], dim=3)
    assert float(gm.sam(*beside_nothing)) == pytest.approx(45, abs=1e-6)
    assert math.isnan(float(gm.sam(pixel(0, 0), pixel(1, 0))))


def uqi_with_scipy(x: Plane, y: Plane) -> float:
    def windowed(plane: Plane) -> Plane:
        return ndimage.gaussian_filter(plane, 1.5, truncate=3.5)[5:-5, 5:-5]

    mx, my = windowed(x), windowed(y)
    vx, vy, vxy = windowed(x * x) - mx**2, windowed(y * y) - my**2, windowed(x * y) - mx * my
    return float((4 * mx * my * vxy / ((mx**2 + my**2) * (vx + vy))).mean())


def test_qnr_is_that_of_scipy(bands: tuple[NDArray[np.float64], ...]) -> None:
    reference, fused = bands
    ms = reference.reshape(2, 4, 12, 4, 10, 4).mean(axis=(3, 5))
    ms = np.pad(ms, ((0, 0), (0, 0), (0, 2), (0, 4)), mode="reflect")  # 14 × 14, larger than the window
    fused = np.pad(fused, ((0, 0), (0, 0), (0, 8), (0, 16)), mode="reflect")
    pan = fused.mean(axis=1) * 0.8 + np.stack([texture(7, 56, 56), texture(8, 56, 56)])
    low = pan.reshape(2, 14, 4, 14, 4).mean(axis=(2, 4))
    expected = []
    for i in range(2):
        pairs = [(j, k) for j in range(4) for k in range(4) if j != k]
        spectral = np.mean(
            [abs(uqi_with_scipy(ms[i, j], ms[i, k]) - uqi_with_scipy(fused[i, j], fused[i, k])) for j, k in pairs]
        )
        spatial = np.mean(
            [abs(uqi_with_scipy(ms[i, j], low[i]) - uqi_with_scipy(fused[i, j], pan[i])) for j in range(4)]
        )
        expected.append((1 - spectral) * (1 - spatial))
    arguments = torch.tensor(fused), torch.tensor(ms), torch.tensor(pan[:, None])
    assert max(expected) < 0.95  # a scene that says something
    # torchmetrics accumulates the indices in float32
    assert gm.qnr(*arguments).numpy() == pytest.approx(expected, abs=1e-5)
    assert gm.qnr(*arguments, pan_low=torch.tensor(low[:, None])).numpy() == pytest.approx(expected, abs=1e-5)


def test_qnr_without_distortion_is_one() -> None:
    """Every band is the panchromatic image, before as after: neither index changes."""
    pan = tensor(texture(3, 64, 64))
    low = torch.nn.functional.avg_pool2d(pan, 4)
    assert float(gm.qnr(pan.expand(1, 3, 64, 64), low.expand(1, 3, 16, 16), pan)) == pytest.approx(1, abs=1e-5)


def test_pan_sharpening_refuses_what_does_not_fit(bands: tuple[NDArray[np.float64], ...]) -> None:
    reference, fused = (torch.tensor(image) for image in bands)
    with pytest.raises(InputError, match="give one shape"):
        gm.ergas(fused, reference[:, :3])
    with pytest.raises(InputError, match="C at least 2"):
        gm.sam(fused[:, :1], reference[:, :1])
    with pytest.raises(InputError, match="NaN"):
        gm.ergas(fused * math.nan, reference)
    pan = fused[:, :1]
    with pytest.raises(InputError, match="multiples"):
        gm.qnr(fused, reference[..., :11], pan)
    with pytest.raises(InputError, match="pan is"):
        gm.qnr(fused, reference[..., ::2, ::2], pan[..., 1:])
    with pytest.raises(InputError, match="pan_low is"):
        gm.qnr(fused, reference[..., ::2, ::2], pan, pan)
    with pytest.raises(InputError, match="needs 11 a side"):
        gm.qnr(fused, reference[..., ::8, ::8], pan)


# All of them


def test_the_table_holds_what_was_promised() -> None:
    paper = {"EI", "VIF", "SCD", "AG"}
    fusion = {"EN", "SD", "SF", "MI", "CC", "PSNR", "SSIM", "MS-SSIM", "Qabf", "Nabf", "MEF-SSIM"}
    assert set(METRICS) == paper | fusion | {"ERGAS", "SAM", "QNR"}
    assert {name for name, metric in METRICS.items() if not metric.higher_is_better} == {"Nabf", "ERGAS", "SAM"}
    for metric in METRICS.values():
        assert metric.range[0] < metric.range[1]
        assert all([metric.formula, metric.source, metric.convention, metric.function.__doc__])
        with pytest.raises(AttributeError):
            metric.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        METRICS["EI"] = METRICS["AG"]  # type: ignore[index]


@pytest.mark.parametrize("name", METRICS)
def test_documentation_has_the_table(name: str) -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    metric = METRICS[name]
    row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells[1].replace("\\|", "|") == f"`{metric.formula}`"
    assert cells[2] == metric.source
    assert cells[4] == ("higher" if metric.higher_is_better else "lower")
    assert cells[5].replace("\\|", "|") == metric.convention
    assert f"`{metric.function.__name__}`" in cells[6]


@pytest.mark.parametrize("name", PAIRWISE)
def test_values_lie_in_the_range(name: str, planes: tuple[torch.Tensor, ...]) -> None:
    low, high = METRICS[name].range
    noise = torch.rand(planes[0].shape, generator=torch.Generator().manual_seed(0)).round()  # as rough as can be
    for fused, a, b in (planes, (noise, *planes[1:]), (planes[1], noise, planes[2]), (1 - noise, noise, noise)):
        value = float(gm.evaluate(fused, a, b, [name])[name])
        assert low - 1e-4 <= value <= high + 1e-4


@pytest.mark.parametrize("name", PAIRWISE)
def test_a_batch_is_its_images_one_by_one(name: str, planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, b = (torch.cat([plane, plane.flip(-1), 0.9 * plane]) for plane in planes)
    together = gm.evaluate(fused, a, torch.cat([b[1:], b[:1]]), [name])[name]
    assert together.shape == (3,)
    for i in range(3):
        alone = gm.evaluate(fused[i : i + 1], a[i : i + 1], b[[(i + 1) % 3]], [name])[name]
        assert float(together[i]) == pytest.approx(float(alone), rel=1e-4)


@pytest.mark.parametrize("name", PAIRWISE)
def test_precisions_agree(name: str, planes: tuple[torch.Tensor, ...]) -> None:
    """float32 against float64; Qabf and Nabf decide on equalities, which rounding shifts."""
    single = gm.evaluate(*planes, [name])[name]
    double = gm.evaluate(*(plane.double() for plane in planes), [name])[name]
    assert float(single) == pytest.approx(float(double), rel=2e-3 if name in ("Qabf", "Nabf") else 1e-4)


@pytest.mark.parametrize("name", ["MI", "CC", "SCD", "PSNR", "SSIM", "MS-SSIM", "VIF", "Qabf", "Nabf"])
def test_the_sources_are_peers(name: str, planes: tuple[torch.Tensor, ...]) -> None:
    fused, a, b = planes
    function = METRICS[name].function
    assert float(function(fused, a, b)) == pytest.approx(float(function(fused, b, a)), rel=1e-5)


@pytest.mark.parametrize("name", PAIRWISE)
def test_the_smallest_image_and_one_smaller(name: str) -> None:
    metric = METRICS[name]
    side = metric.smallest
    fused, a, b = (tensor(texture(i, side, side + 3)) for i in range(3))
    arguments = [{"fused": fused, "a": a, "b": b}[argument] for argument in metric.inputs]
    assert torch.isfinite(metric.function(*arguments)).all()
    if side > 1:
        with pytest.raises(InputError, match=f"too small: this metric needs {side} a side"):
            metric.function(*(plane[..., 1:, :] for plane in arguments))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0], r"shape \(1, 180, 200\); give luminance planes"),
        (lambda x: x.expand(-1, 3, -1, -1), "give luminance planes"),
        (lambda x: x[..., :0], "give luminance planes"),
        (lambda x: (255 * x).to(torch.uint8), "divide uint8 by 255"),
        (lambda x: 255 * x, r"from \d+ to 2\d\d; they must lie"),
        (lambda x: x - 1, r"from -[\d.]+ to -?[\d.e-]+; they must lie"),
        (lambda x: x.masked_fill(x > 0.9, math.nan), "from nan to nan; they must lie"),
        (lambda x: x[..., 1:], "give planes of one shape"),
    ],
)
@pytest.mark.parametrize("which", [0, 2])
def test_bad_planes_are_refused(change: object, message: str, which: int, planes: tuple[torch.Tensor, ...]) -> None:
    assert callable(change)
    arguments = list(planes)
    arguments[which] = change(arguments[which])
    with pytest.raises(InputError, match=message):
        gm.correlation_coefficient(*arguments)


def test_evaluate_gives_what_the_functions_give(planes: tuple[torch.Tensor, ...]) -> None:
    values = gm.evaluate(*planes)
    assert list(values) == PAIRWISE
    assert float(values["VIF"]) == float(gm.vif(*planes))
    assert float(values["EI"]) == float(gm.edge_intensity(planes[0]))
    assert list(gm.evaluate(*planes, names=["SCD", "EN", "SCD"])) == ["SCD", "EN"]
    assert list(gm.evaluate(*planes, names="SCD")) == ["SCD"]


def test_evaluate_leaves_out_what_an_image_is_too_small_for(planes: tuple[torch.Tensor, ...]) -> None:
    small = [plane[..., :40, :60] for plane in planes]
    assert set(PAIRWISE) - set(gm.evaluate(*small)) == {"MS-SSIM", "VIF"}
    with pytest.raises(InputError, match="60×40 pixels are too small: this metric needs 41 a side"):
        gm.evaluate(*small, names=["VIF"])


def test_evaluate_refuses_unknown_names(planes: tuple[torch.Tensor, ...]) -> None:
    with pytest.raises(InputError, match="no metric is named 'vif'; there are EI, "):
        gm.evaluate(*planes, names=["vif"])
    with pytest.raises(InputError, match=r"QNR takes fused, ms, pan; call gifnet\.metrics\.qnr\(fused, ms, pan\)"):
        gm.evaluate(*planes, names=["QNR"])


def test_without_torchmetrics(planes: tuple[torch.Tensor, ...], hide: Callable[[str], None]) -> None:
    hide("torchmetrics")
    own = [name for name in PAIRWISE if not METRICS[name].library]
    assert {"EI", "AG", "SCD", "Qabf"} <= set(gm.evaluate(*planes, names=own))
    for name in [name for name in PAIRWISE if METRICS[name].library]:
        with pytest.raises(ImportError, match=r"pip install 'gifnet\[metrics\]'"):
            gm.evaluate(*planes, names=[name])
    with pytest.raises(ImportError, match=r"gifnet\[metrics\]"):
        gm.sam(*(plane.expand(-1, 2, -1, -1) for plane in planes[:2]))


# Computed apart from this package, with SciPy and NumPy, for the released checkpoint's outputs: EI, VIF, SCD, AG.
FIGURES = {
    "medical": (96.6, 0.459, 1.371, 9.36),
    "mfif": (73.9, 1.071, 1.387, 6.79),
    "remote": (19.7, 1.094, 1.242, 1.86),
}


@pytest.mark.parametrize("task", FIGURES)
@pytest.mark.skipif(not GOLDEN.is_dir(), reason="reference outputs of the released checkpoint are not here")
def test_figures_of_the_released_checkpoint(task: str) -> None:
    def plane(name: str, peak: float) -> torch.Tensor:
        return torch.tensor(np.asarray(Image.open(GOLDEN / f"{task}_{name}.png")) / peak).float()[None, None]

    values = gm.evaluate(plane("full_y16", 65535), plane("a", 255), plane("b", 255), ["EI", "VIF", "SCD", "AG"])
    assert [float(value) for value in values.values()] == pytest.approx(FIGURES[task], rel=3e-3)
