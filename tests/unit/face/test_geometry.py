"""The maps of a face's geometry: how much they fill, that they mirror, and that they feel less than a pixel."""

import numpy as np
import pytest
from support.expression_editor import drawn_points

from stages.common.face.geometry import GEOMETRY_MAPS, GEOMETRY_PX, draw_geometry
from stages.common.face.mesh import mirror_points

INNER, OUTER, EYES, IRISES, BROWS, FACE = range(6)


def area_px(polygon):
    x, y = polygon[:, 0], polygon[:, 1]
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def test_each_map_fills_the_area_of_its_contours():
    points = drawn_points(128)[:, :2]
    maps = draw_geometry(points, 128)
    assert (maps.shape, maps.dtype) == ((len(GEOMETRY_MAPS), GEOMETRY_PX, GEOMETRY_PX), np.uint8)
    for drawn, contours in zip(maps, GEOMETRY_MAPS, strict=True):
        outline_px = sum(np.linalg.norm(np.diff(points[[*c, c[0]]], axis=0), axis=1).sum() for c in contours) / 2
        wanted = sum(area_px(points[list(contour)]) for contour in contours) / 4
        # A filled polygon reaches about half a pixel beyond its outline.
        assert wanted < drawn.sum() / 255 < wanted + 1.1 * outline_px


def test_maps_lie_where_the_parts_are():
    maps = draw_geometry(drawn_points(128)[:, :2], 128)
    rows = [np.average(np.arange(GEOMETRY_PX), weights=drawn.sum(axis=1)) for drawn in maps]
    assert rows[BROWS] < rows[EYES] < rows[FACE] < rows[OUTER]
    assert rows[INNER] == pytest.approx(rows[OUTER], abs=0.5)
    assert rows[IRISES] == pytest.approx(rows[EYES], abs=0.5)


def test_a_mirrored_face_has_mirrored_maps():
    points = drawn_points(128)
    points[:, 0] += 2.25
    maps, mirrored = (draw_geometry(p[:, :2], 128) for p in (points, mirror_points(points, 128)))
    assert np.abs(mirrored[:, :, ::-1].astype(int) - maps).mean() < 1
    assert not np.array_equal(mirrored, maps)


def test_half_a_pixel_is_seen():
    points = drawn_points(128)[:, :2]
    centers = [
        np.average(np.arange(GEOMETRY_PX), weights=draw_geometry(points + np.array([shift, 0]), 128)[FACE].sum(axis=0))
        for shift in (0, 0.5, 1.0)
    ]
    assert np.diff(centers) == pytest.approx([0.25, 0.25], abs=0.1)


def test_the_size_of_the_crop_does_not_matter():
    small, large = (draw_geometry(drawn_points(size)[:, :2], size) for size in (128, 256))
    assert np.abs(small.astype(int) - large).max() <= 16


def test_an_unknown_face_is_zeros_and_one_outside_too():
    assert not draw_geometry(np.full((478, 2), -1e3), 128).any()
    assert not draw_geometry(drawn_points(128)[:, :2] + 500, 128).any()
