"""Mouth crops: where they are cut, and that gradients reach the pictures."""

import math

import pytest
import torch

from stages.models.mouth_crop import CROP_PX, crop_mouths, normalize_mouths, smooth_landmarks

REFERENCE = {(36, 42): (102.1, 94.3), (42, 48): (156.4, 93.6), (31, 36): (129.0, 135.9), (48, 68): (129.3, 157.8)}


def reference_landmarks():
    """All landmarks of a part where its mean lies in the reference."""
    points = torch.zeros(68, 2, dtype=torch.float64)
    for (start, end), mean in REFERENCE.items():
        points[start:end] = torch.tensor(mean, dtype=torch.float64)
    return points


def moved(points, degrees, scale, shift):
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    return scale * points @ turn.T + torch.tensor(shift, dtype=torch.float64)


def picture(function, height, width):
    """Grey frames (1, 1, 3, H, W) with ``function`` of the pixels' (x, y)."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64), torch.arange(width, dtype=torch.float64), indexing="ij"
    )
    return function(torch.stack([x, y], -1)).expand(1, 1, 3, height, width)


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (25, 0.8), (-10, 1.3)])
def test_a_turned_and_scaled_face_gives_the_same_crop(degrees, scale):
    # A brightness linear in reference coordinates survives any interpolation.
    def shade(points):
        return 0.004 * points[..., 0] - 0.003 * points[..., 1]

    shift = (90.0, 60.0)
    angle = math.radians(degrees)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], dtype=torch.float64)
    back = lambda pixels: (pixels - torch.tensor(shift, dtype=torch.float64)) @ turn / scale  # noqa: E731
    frames = picture(lambda pixels: shade(back(pixels)), 360, 420)
    landmarks = moved(reference_landmarks(), degrees, scale, shift)
    crop = crop_mouths(frames, landmarks[None, None])[0, 0]
    columns = torch.arange(CROP_PX, dtype=torch.float64) - (CROP_PX - 1) / 2
    y, x = torch.meshgrid(columns, columns, indexing="ij")
    expected = shade(torch.stack([x, y], -1) + torch.tensor(REFERENCE[48, 68], dtype=torch.float64)) / 2 + 0.5
    assert torch.allclose(crop, expected, atol=1e-6)


def test_a_larger_crop_shows_the_same_in_its_middle():
    frames = torch.rand(1, 2, 3, 256, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    landmarks = reference_landmarks().expand(1, 2, 68, 2)
    small, large = crop_mouths(frames, landmarks), crop_mouths(frames, landmarks, CROP_PX + 8)
    assert torch.allclose(large[:, :, 4:-4, 4:-4], small)


def test_white_is_one_and_black_nought():
    landmarks = reference_landmarks().expand(1, 1, 68, 2)
    for value, grey in ((1.0, 1.0), (-1.0, 0.0)):
        frames = torch.full((1, 1, 3, 64, 64), value, dtype=torch.float64)
        assert torch.allclose(crop_mouths(frames, landmarks), torch.tensor(grey, dtype=torch.float64))
    assert float(normalize_mouths(torch.tensor(0.421 + 0.165))) == pytest.approx(1.0)


def test_gradients_reach_the_mouth_and_nothing_far_from_it():
    frames = torch.zeros(1, 1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    crop_mouths(frames, reference_landmarks()[None, None]).sum().backward()
    assert frames.grad[0, 0, :, 158, 129].abs().min() > 0
    assert frames.grad[0, 0, :, :60].abs().max() == 0


def test_smoothing_keeps_still_shapes_and_follows_their_places():
    steps = torch.arange(20, dtype=torch.float64)
    places = torch.stack([steps.square(), steps], dim=1)
    landmarks = (reference_landmarks() + places[:, None])[None]
    assert torch.allclose(smooth_landmarks(landmarks), landmarks)


def test_smoothing_takes_the_mean_shape_of_six_frames_before_and_after():
    landmarks = torch.zeros(1, 30, 2, 2, dtype=torch.float64)
    landmarks[0, 15, 0, 0], landmarks[0, 15, 1, 0] = 13.0, -13.0
    smooth = smooth_landmarks(landmarks)[0, :, 0, 0]
    assert torch.allclose(smooth[9:22], torch.ones(13, dtype=torch.float64))
    assert smooth[8] == smooth[22] == 0
