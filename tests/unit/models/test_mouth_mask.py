"""The mask of the lower half of a face."""

import numpy as np
import torch

from stages.models.mouth_mask import mask_below, mask_top, masked_cells


def face(mouth_y):
    """Landmarks whose mouth begins at ``mouth_y``; the nose lies above it, the chin below."""
    landmarks = np.full((68, 2), 50, np.float32)
    landmarks[:48, 1] = 20
    landmarks[8, 1] = 120
    landmarks[48:, 1] = np.linspace(mouth_y, mouth_y + 20, 20)
    return landmarks


def test_the_mask_begins_five_pixels_above_the_topmost_mouth_landmark():
    assert mask_top(face(80.9)) == 75
    many = mask_top(torch.from_numpy(np.stack([face(80), face(60.5)])))
    assert many.tolist() == [75, 55]


def test_it_reaches_over_the_full_width_down_to_the_bottom():
    x = torch.rand(2, 3, 16, 12)
    masked = mask_below(x, torch.tensor([10.0, -3.0]))
    assert torch.equal(masked[0, :, :10], x[0, :, :10])
    assert (masked[0, :, 10:] == -1).all()
    assert (masked[1] == -1).all()


def test_cells_of_latents_count_as_masked_when_one_of_their_rows_is():
    cells = masked_cells(torch.tensor([8.0, 9.0, 15.0, 16.0]), 4, 8)
    assert cells.squeeze().tolist() == [[0, 1, 1, 1], [0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 1, 1]]
