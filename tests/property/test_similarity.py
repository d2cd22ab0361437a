"""Similarity transforms: what they must satisfy for any points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from stages.common.face.similarity import estimate_similarity, invert_similarity, scale_of, transform_points

Array = NDArray[np.float64]
COORDINATE_PX = st.floats(-4000, 4000, width=32)
POINTS = st.integers(3, 12).flatmap(lambda n: arrays(np.float64, (n, 2), elements=COORDINATE_PX))


@st.composite
def similarities(draw: st.DrawFn) -> Array:
    scale = draw(st.floats(0.02, 50))
    angle = draw(st.floats(-np.pi, np.pi))
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, draw(COORDINATE_PX)], [s, c, draw(COORDINATE_PX)]])


def spread(points: Array) -> float:
    return float(np.abs(points - points.mean(axis=0)).max())


@given(similarities(), POINTS)
def test_inverse_undoes_the_transform(matrix: Array, points: Array) -> None:
    back = transform_points(invert_similarity(matrix), transform_points(matrix, points))
    np.testing.assert_allclose(back, points, atol=1e-6)


@given(similarities(), POINTS)
def test_a_known_transform_is_recovered(matrix: Array, points: Array) -> None:
    assume(spread(points) > 1)
    found = estimate_similarity(points, transform_points(matrix, points))
    np.testing.assert_allclose(found, matrix, rtol=1e-6, atol=1e-5)


@given(POINTS, POINTS)
def test_never_a_reflection_nor_a_shear(src: Array, dst: Array) -> None:
    count = min(len(src), len(dst))
    src, dst = src[:count], dst[:count]
    assume(spread(src) > 1)
    (a, b, _), (c, d, _) = estimate_similarity(src, dst)
    assert a == d
    assert b == -c
    assert a * d - b * c >= 0


@given(POINTS, POINTS, similarities())
def test_moving_the_target_moves_the_result_with_it(src: Array, dst: Array, move: Array) -> None:
    count = min(len(src), len(dst))
    src, dst = src[:count], dst[:count]
    assume(spread(src) > 1)
    moved_after = transform_points(move, transform_points(estimate_similarity(src, dst), src))
    moved_before = transform_points(estimate_similarity(src, transform_points(move, dst)), src)
    np.testing.assert_allclose(moved_before, moved_after, atol=1e-6 * (1 + np.abs(moved_after).max()))


@given(POINTS, POINTS, st.floats(0.9, 1.1), st.floats(-0.1, 0.1))
def test_no_other_similarity_fits_better(src: Array, dst: Array, stretch: float, turn: float) -> None:
    count = min(len(src), len(dst))
    src, dst = src[:count], dst[:count]
    assume(spread(src) > 1)
    best = estimate_similarity(src, dst)
    rotation = stretch * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    error = float(((transform_points(best, src) - dst) ** 2).sum())
    worse = float(((transform_points(rotation @ best, src) - dst) ** 2).sum())
    assert error <= worse * (1 + 1e-9) + 1e-6


@given(similarities())
def test_scale_is_the_growth_of_lengths(matrix: Array) -> None:
    ends = transform_points(matrix, [[0.0, 0.0], [3.0, 4.0]])
    assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(5 * scale_of(matrix))


def test_mirrored_points_are_not_mirrored_back() -> None:
    square = np.array([[0.0, 0.0], [2.0, 0.0], [2.0, 1.0], [0.0, 1.0]])
    matrix = estimate_similarity(square, square * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) >= 0


@pytest.mark.parametrize(
    ("src", "dst"),
    [
        (np.zeros((3, 2)), np.zeros((4, 2))),
        (np.zeros((1, 2)), np.zeros((1, 2))),
        (np.zeros((3, 3)), np.zeros((3, 3))),
        (np.full((3, 2), 7.0), np.eye(3, 2)),
    ],
)
def test_impossible_points_are_refused(src: Array, dst: Array) -> None:
    with pytest.raises(ValueError, match=r"needed|coincide"):
        estimate_similarity(src, dst)


def test_a_scale_of_zero_has_no_inverse() -> None:
    with pytest.raises(ValueError, match="no inverse"):
        invert_similarity(np.zeros((2, 3)))
