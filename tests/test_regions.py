"""Rectangles of an image."""

import numpy as np

from gifnet.regions import Region, Sides


def test_a_region_knows_the_image_s_own_sides() -> None:
    image = Region(0, 40, 0, 60)
    assert image.sides(image) == Sides()
    assert Region(8, 40, 0, 16).sides(image) == Sides(left=True, right=False, top=False, bottom=True)
    assert Region(8, 16, 8, 56).grown(10, image) == Region(0, 26, 0, 60)


def test_a_region_crops_what_covers_more() -> None:
    x = np.arange(2 * 5 * 7, dtype=np.float32).reshape(2, 5, 7)
    part = Region(12, 14, 23, 26).crop(x, Region(10, 15, 20, 27))
    np.testing.assert_array_equal(part, x[:, 2:4, 3:6])
    assert np.shares_memory(part, x)
