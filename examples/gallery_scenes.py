"""Scenes of the gallery that no camera took: a hot cup, hills in haze, a section of a head, fields from above.

The cup is drawn over a photograph in the public domain that ships with scikit-image ("coffee", Rachel Michetti, CC0);
the others are made by formulas alone. Images are arrays in [0, 1] unless something else is said.
"""

import numpy as np
from make_pairs import encoded, linear
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from skimage import data
from skimage.draw import ellipse as ellipse_pixels
from skimage.draw import polygon as polygon_pixels

Array = np.ndarray
HAZE = np.array([0.07, 0.085, 0.11, 0.03])  # extinction of red, green, blue and near-infrared, 1/km
AIR = np.array([0.55, 0.62, 0.72, 0.30])  # light of endless haze
FOREST = np.array([0.06, 0.09, 0.04, 0.42])  # reflectances
MEADOW = np.array([0.12, 0.17, 0.06, 0.55])
SOIL = np.array([0.26, 0.20, 0.14, 0.30])


def noise(shape: tuple[int, int], seed: int, coarsest: int = 64) -> Array:
    """Fractal noise of mean 0 and deviation 1: octaves from ``coarsest`` pixels down to 1."""
    random = np.random.default_rng(seed)
    total = np.zeros(shape)
    size = coarsest
    while size >= 1:
        small = random.standard_normal((shape[0] // size + 4, shape[1] // size + 4))
        total += size**0.7 * zoom(small, size, order=1)[: shape[0], : shape[1]]
        size //= 2
    return (total - total.mean()) / total.std()


def hot_cup() -> tuple[Array, Array]:
    """Temperatures in °C (400, 600), float32, drawn over the photograph; and the photograph by little light, uint8."""
    photo = data.coffee()
    celsius = np.full(photo.shape[:2], 21.0)

    def paint(value: float, y: float, x: float, radius_y: float, radius_x: float) -> None:
        celsius[ellipse_pixels(y, x, radius_y, radius_x, celsius.shape)] = value

    paint(25, 226, 278, 158, 202)  # the saucer
    celsius = np.maximum(celsius, 21 + 16 * np.exp(-(((np.indices(celsius.shape)[0] - 250) / 70) ** 2)
                                                   - ((np.indices(celsius.shape)[1] - 290) / 100) ** 2))  # fmt: skip
    celsius[polygon_pixels([110, 215, 275, 285, 240, 105], [174, 198, 240, 330, 376, 407])] = 46  # the cup
    paint(36, 268, 224, 38, 24)  # its handle
    celsius[polygon_pixels([66, 70, 245, 250], [402, 424, 386, 372])] = 24  # the spoon reflects the room
    paint(23, 285, 366, 40, 39)
    paint(44, 111, 289, 93, 116)  # the rim
    paint(50, 112, 288, 80, 100)  # the inside
    paint(66, 148, 287, 45, 80)  # the coffee
    celsius = gaussian_filter(celsius, 1.5) + 0.15 * np.random.default_rng(0).standard_normal(celsius.shape)
    light = linear(photo) * 0.06
    random = np.random.default_rng(1)
    dim = random.poisson(light * 1500) / 1500 + 0.001 * random.standard_normal(light.shape)
    return celsius.astype(np.float32), encoded(dim)


def elevations(height: int = 344, width: int = 403) -> Array:
    """Ridges and valleys: metres above the sea, (H, W); pixels of 75 m."""
    random = np.random.default_rng(21)
    total = np.zeros((height, width))
    for size, share in ((90, 1.0), (45, 0.5), (22, 0.3), (11, 0.15), (5, 0.06)):
        small = random.standard_normal((height // size + 4, width // size + 4))
        smooth = zoom(small, size, order=3)[:height, :width]
        total += share * (1 - np.abs(smooth).clip(0, 2)) * (0.4 + total.clip(0, 1))
    total -= total.min()
    return 240 + 840 * total / total.max()


def hills_in_haze(height: int = 320, width: int = 480) -> tuple[Array, Array]:
    """A view over hills: near-infrared (H, W) and visible (H, W, 3), uint8, through haze by Koschmieder's law."""
    fine = 4
    ground = zoom(elevations(), fine, order=3) * 1.6
    ground += 14 * noise(ground.shape, 3, 16)
    metres = 75 / fine
    slope_y, slope_x = np.gradient(ground, metres)
    light = ((0.6 * slope_x + 0.35 * slope_y + 0.7) / np.sqrt(1 + slope_x**2 + slope_y**2)).clip(0.12, None)
    kind = noise(ground.shape, 4, 128)[..., None] + 0.012 * (600 - ground[..., None] / 1.6) * 0.5
    meadow = 1 / (1 + np.exp(-8 * (kind - 0.6)))
    albedo = (1 - meadow) * FOREST + meadow * MEADOW
    albedo = albedo * (1 + 0.25 * noise(ground.shape, 5, 4)[..., None]).clip(0.3, 2) * light[..., None] * 1.6

    y0, x0 = ground.shape[0] * 0.93, ground.shape[1] * 0.42
    eye = ground.max() + 250
    distance = np.geomspace(600, 24_000, 1500)[:, None]  # metres
    angle = np.radians(np.linspace(-26, 26, width))[None]
    at = np.stack([y0 - distance * np.cos(angle) / metres, x0 + distance * np.sin(angle) / metres])
    seen = map_coordinates(ground, at, order=1, mode="nearest")
    above = height * (0.2 - (seen - eye) / distance * 1.9)  # the row each point would be drawn in
    highest = np.minimum.accumulate(above, axis=0)
    picture = np.zeros((height, width, 4))
    rows = np.arange(height)
    for column in range(width):
        first = np.searchsorted(-highest[:, column], -rows)  # the nearest point that reaches up to the row
        hit = first < len(distance)
        index = first.clip(max=len(distance) - 1)
        point = [at[0, index, column], at[1, index, column]]
        surface = np.stack([map_coordinates(albedo[..., c], point, order=1, mode="nearest") for c in range(4)], axis=-1)
        clear = np.exp(-HAZE * distance[index] / 1000)
        sky = AIR * (1 - 0.5 * (1 - rows[:, None] / (0.3 * height)).clip(0, 1) * [0.9, 0.55, 0.1, 1.4])
        picture[:, column] = np.where(hit[:, None], surface * clear + AIR * (1 - clear), sky)
    picture[..., 3] *= 0.7  # a shorter exposure
    picture = encoded(picture + 0.002 * np.random.default_rng(6).standard_normal(picture.shape))
    return picture[..., 3], picture[..., :3]


def head(side: int = 400) -> tuple[Array, Array]:
    """A section of a drawn head: PET in false colours (H, W, 3) and MRI (H, W), uint8."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]

    def inside(radius_y: float, radius_x: float, y0: float = 0, x0: float = 0) -> Array:
        return 1 - np.sqrt(((y - y0) / radius_y) ** 2 + ((x - x0) / radius_x) ** 2)

    brain = inside(0.78, 0.62)
    folds = noise((side, side), 8, 16)
    white = gaussian_filter(((brain - 0.16 + 0.075 * gaussian_filter(folds, 2) * 2.2) > 0).astype(float), 0.7)
    gap = np.exp(-((x / 0.012) ** 2)) * (np.abs(y) > 0.35)  # between the hemispheres
    ventricles = np.maximum(inside(0.24, 0.07, 0, -0.09), inside(0.24, 0.07, 0, 0.09)) > 0
    tumour = (inside(0.11, 0.09, -0.22, 0.3) > 0).astype(float)
    mri = np.where(inside(0.93, 0.77) > 0, 0.8, 0)  # the scalp
    mri = np.where(inside(0.88, 0.72) > 0, 0.08, mri)  # bone
    mri = np.where(brain > 0, 0.42 + 0.28 * white, mri)
    mri = mri * (1 - 0.7 * gap) * (1 - 0.75 * ventricles) * (1 - 0.25 * gaussian_filter(tumour, 2))
    uptake = (brain > 0) * (4 - 3 * white) * (1 - ventricles) * (1 - gap) + 5 * tumour
    uptake = gaussian_filter(uptake, side / 80)
    heat = (uptake / uptake.max())[..., None]
    pet = np.clip(heat * [2.6, 2.6, 3.5] - [0, 0.9, 2.4], 0, 1)
    random = np.random.default_rng(9)
    mri = np.abs(gaussian_filter(mri, 0.6) + 0.02 * random.standard_normal(mri.shape))
    return np.round(pet * 255).astype(np.uint8), np.round(mri.clip(0, 1) * 255).astype(np.uint8)


def fields(side: int = 400, ratio: int = 4) -> tuple[Array, Array]:
    """Fields, woods, roads and roofs from above.

    Returns bands (H, W, 4) of red, green, blue and near-infrared, and a panchromatic plane of ``ratio`` times as many
    pixels a side; uint16, reflectance by 10,000.
    """
    random = np.random.default_rng(11)
    centres = random.random((60, 2)) * side
    pixels = np.indices((side, side)).reshape(2, -1).T + 6 * noise((side, side), 12, 32).reshape(-1, 1)
    plot = np.argmin(((pixels[:, None] * [1, 0.6] - centres * [1, 0.6]) ** 2).sum(axis=2), axis=1).reshape(side, side)
    share = random.random((60, 3)) * [1, 1.6, 0.7]
    share /= share.sum(axis=1, keepdims=True)
    scene = (share @ np.stack([FOREST, MEADOW, SOIL]))[plot]
    rows, columns = np.indices((side, side))
    furrows = np.sin((rows * np.cos(share[plot, 0] * 9) + columns * np.sin(share[plot, 0] * 9)) * 0.8)
    scene *= 1 + 0.07 * furrows[..., None]
    woods = noise((side, side), 13, 64) > 0.9
    crowns = gaussian_filter(random.standard_normal((side, side)), 1.5) * 4
    scene = np.where(woods[..., None], FOREST * (1 + 0.6 * crowns.clip(-1, 1.5)[..., None]), scene)
    for line, bend in ((0.35, 25), (0.72, -18)):
        road = np.abs(rows - line * side - bend * np.sin(columns / 70)) < 2.2
        scene = np.where(road[..., None], [0.22, 0.22, 0.23, 0.25], scene)
    for top, left in random.integers(0, 90, (40, 2)) + np.array([0.37 * side, 0.45 * side], int):
        tall, wide = random.integers(5, 11, 2)
        scene[top + 2 : top + tall + 2, left + 2 : left + wide + 2] *= 0.5  # its shadow
        roof = ([0.38, 0.2, 0.15, 0.4], [0.3, 0.3, 0.32, 0.32])[random.integers(2)]
        scene[top : top + tall, left : left + wide] = roof
    scene = (scene * 10_000 * (1 + 0.03 * random.standard_normal((side, side, 1)))).clip(0)
    pan = scene @ [0.3, 0.3, 0.2, 0.2]
    coarse = scene.reshape(side // ratio, ratio, side // ratio, ratio, 4).mean(axis=(1, 3))
    return coarse.astype(np.uint16), pan.astype(np.uint16)
