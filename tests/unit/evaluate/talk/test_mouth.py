"""Mouth opening, LipLeak and LipScore on landmarks and features with known answers."""

import numpy as np
import pytest

from stages.common.errors import BadInputError
from stages.evaluate.talk.mouth import lip_leak, lip_score, mouth_opening


def make_mouth(opening):
    landmarks = np.zeros((68, 2))
    landmarks[60], landmarks[64] = (0, 0), (10, 0)
    for x, (upper, lower) in zip((3, 5, 7), ((61, 67), (62, 66), (63, 65)), strict=True):
        landmarks[upper], landmarks[lower] = (x, -5 * opening), (x, 5 * opening)
    return landmarks


def test_opening_is_height_over_width_whatever_the_size_and_turn():
    mouths = np.stack([make_mouth(0), make_mouth(0.2), 3 * make_mouth(0.2), make_mouth(0.2) @ [[0, 1], [-1, 0]]])
    np.testing.assert_allclose(mouth_opening(mouths), [0, 0.2, 0.2, 0.2])


def test_a_closed_mouth_leaks_nothing():
    openings = mouth_opening(np.stack([make_mouth(0.02)] * 8))
    assert lip_leak(openings, 0.1) == 0
    assert lip_leak(mouth_opening(np.stack([make_mouth(0.02)] * 6 + [make_mouth(0.3)] * 2)), 0.1) == 0.25


def test_lip_score_is_the_mean_cosine_of_frames():
    random = np.random.default_rng(0)
    features = random.normal(size=(5, 8))
    assert lip_score(features, 3 * features) == pytest.approx(1)
    assert lip_score(features, -features) == pytest.approx(-1)
    half = features.copy()
    half[:2] *= -1
    assert lip_score(features, half) == pytest.approx((3 - 2) / 5)


def test_features_that_do_not_compare_are_refused():
    features = np.ones((4, 2))
    with pytest.raises(BadInputError, match="3 frames were made of 4") as caught:
        lip_score(features, features[:3])
    assert caught.value.reason == "other length"
    with pytest.raises(BadInputError, match="not numbers"):
        lip_score(features, features * np.nan)
