"""Rectangles of an image."""

from gifnet.regions import Region, Sides


def test_a_region_knows_the_image_s_own_sides() -> None:
    image = Region(0, 40, 0, 60)
    assert image.sides(image) == Sides()
    assert Region(8, 40, 0, 16).sides(image) == Sides(left=True, right=False, top=False, bottom=True)
    assert Region(8, 16, 8, 56).grown(10, image) == Region(0, 26, 0, 60)
