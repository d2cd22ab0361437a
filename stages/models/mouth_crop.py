"""Mouths cut out of pictures of faces as lip readers take them, differentiably in the pictures.

B clips, T frames, H x W pixels, 68 landmarks (x, y) in pixels whose centres are integers, S px the side of a crop.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CROP_PX = 88
"""The side of what a lip reader sees."""
_MEAN, _STD = 0.421, 0.165
_LUMA = (0.299, 0.587, 0.114)
_STABLE = ((36, 42), (42, 48), (31, 36), (48, 68))
"""Landmarks of the right eye, the left eye, below the nose, and of the mouth: each mean is an anchor."""
_ANCHORS_PX = ((102.1, 94.3), (156.4, 93.6), (129.0, 135.9), (129.3, 157.8))
"""Where Auto-AVSR (Ma et al., 2023) puts these, in the geometry of which a lip reader sees 88x88 pixels."""
_SMOOTHING_FRAMES = 12


def crop_mouths(frames_BTCHW: Tensor, landmarks_BTK2: Tensor, side_px: int = CROP_PX) -> Tensor:
    """RGB frames -1..1 (B, T, 3, H, W) and landmarks (B, T, 68, 2) to grey mouths 0..1 (B, T, S, S).

    A frame is turned and scaled so that eyes, nose and mouth come to lie as in the mean face, and cut around the
    mouth; pixels outside of the frame repeat its edge. A larger ``side_px`` shows more of the face at the same scale.
    """
    batch, count, _, height, width = frames_BTCHW.shape
    corners_B223 = _sampling(smooth_landmarks(landmarks_BTK2), side_px).flatten(0, 1)
    size = frames_BTCHW.new_tensor([width, height])
    # From pixels with integer centres to grid_sample's -1..1 from edge to edge.
    grid_from = torch.diag(2 / size)
    theta_N23 = grid_from @ corners_B223.to(frames_BTCHW.dtype)
    theta_N23[:, :, 2] += 1 / size - 1
    grey_NHW = (frames_BTCHW.flatten(0, 1) * frames_BTCHW.new_tensor(_LUMA)[:, None, None]).sum(dim=1, keepdim=True)
    grid = F.affine_grid(theta_N23, [batch * count, 1, side_px, side_px], align_corners=False)
    crops = F.grid_sample(grey_NHW, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return crops.view(batch, count, side_px, side_px) / 2 + 0.5


def normalize_mouths(grey: Tensor) -> Tensor:
    """Grey 0..1 to what a lip reader's first layer takes."""
    return (grey - _MEAN) / _STD


def smooth_landmarks(landmarks_BTK2: Tensor) -> Tensor:
    """The mean shape of the frames around each (at the ends of a clip of fewer), put where its own landmarks lie."""
    count = landmarks_BTK2.shape[1]
    numbers = torch.arange(count, device=landmarks_BTK2.device)
    reach = torch.minimum(torch.minimum(numbers, count - 1 - numbers), torch.tensor(_SMOOTHING_FRAMES // 2))
    near_TT = ((numbers[:, None] - numbers[None]).abs() <= reach[:, None]).to(landmarks_BTK2.dtype)
    shape_BTK2 = landmarks_BTK2 - landmarks_BTK2.mean(dim=2, keepdim=True)
    smooth = torch.einsum("ts,bskc->btkc", near_TT / near_TT.sum(dim=1, keepdim=True), shape_BTK2)
    return smooth + landmarks_BTK2.mean(dim=2, keepdim=True)


def _sampling(landmarks_BTK2: Tensor, side_px: int) -> Tensor:
    """The affine maps (B, T, 2, 3) from a crop's coordinates -1..1 to pixels of the frame."""
    anchors_BTA2 = torch.stack([landmarks_BTK2[:, :, a:b].mean(dim=2) for a, b in _STABLE], dim=2)
    reference_A2 = landmarks_BTK2.new_tensor(_ANCHORS_PX)
    # The least-squares similarity from the mean face to the frame, as complex numbers: frame = turn * face + shift.
    points = torch.view_as_complex((anchors_BTA2 - anchors_BTA2.mean(dim=2, keepdim=True)).contiguous())
    reference = torch.view_as_complex((reference_A2 - reference_A2.mean(dim=0)).contiguous())
    turn_BT = (reference.conj() * points).sum(dim=2) / reference.abs().square().sum()
    matrix = torch.stack([turn_BT.real, -turn_BT.imag, turn_BT.imag, turn_BT.real], dim=-1).unflatten(-1, (2, 2))
    mouth_BT2 = anchors_BTA2[:, :, -1]
    return torch.cat([matrix * (side_px / 2), mouth_BT2[..., None]], dim=-1)
