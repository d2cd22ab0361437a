"""The recogniser of the identity loss: the published network, and the part of our crops that it is shown."""

import pytest
import torch
from torch import nn

from stages.common.face.canonical import canonical_landmarks
from stages.finetune.identity import arcface_crop
from stages.models.ir_se50 import ARCFACE_POINTS, SIZE_PX, IdentityDistance, IrSe50


@pytest.fixture(scope="module")
def network():
    with torch.device("meta"):
        return IrSe50().eval()


def test_it_is_the_published_network(network):
    state = network.state_dict()
    assert sum(parameter.numel() for parameter in network.parameters()) == 43_797_696
    assert state["body.0.res_layer.5.fc1.weight"].shape == (4, 64, 1, 1)
    assert state["body.3.shortcut_layer.0.weight"].shape == (128, 64, 1, 1)
    assert state["body.23.res_layer.3.weight"].shape == (512, 512, 3, 3)
    assert state["output_layer.3.weight"].shape == (512, 25088)
    assert len(network.body) == 24
    assert network(torch.empty(2, 3, SIZE_PX, SIZE_PX, device="meta")).shape == (2, 512)


class Pool(nn.Module):
    """Embeds a crop as its colours in a grid of 4 by 4."""

    def forward(self, x):
        return nn.functional.normalize(nn.functional.adaptive_avg_pool2d(x, 4).flatten(1), dim=1)


WHOLE = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def test_equal_faces_are_at_no_distance_and_opposite_ones_at_two():
    distance = IdentityDistance(Pool(), WHOLE)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert distance(x, x).item() == pytest.approx(0, abs=1e-6)
    assert distance(x, -x).item() == pytest.approx(2, abs=1e-6)


def test_gradients_reach_the_edit_alone():
    distance = IdentityDistance(Pool(), WHOLE)
    edit, photo = (torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    edit.requires_grad_(True)
    photo.requires_grad_(True)
    distance(edit, photo).backward()
    assert edit.grad.abs().sum() > 0
    assert photo.grad is None


def test_eyes_and_mouth_come_to_lie_where_the_recogniser_expects_them():
    size = 256
    picture = torch.full((1, 3, size, size), -1.0)
    points = canonical_landmarks(size)
    x, y = points[48:49].mean(axis=0).round().astype(int)
    picture[:, :, y - 3 : y + 4, x - 3 : x + 4] = 1
    crop = IdentityDistance(Pool(), arcface_crop())._crop(picture)[0, 0] + 1
    grid_y, grid_x = torch.meshgrid(torch.arange(SIZE_PX), torch.arange(SIZE_PX), indexing="ij")
    found = ((crop * grid_x).sum() / crop.sum()).item(), ((crop * grid_y).sum() / crop.sum()).item()
    assert found == pytest.approx(ARCFACE_POINTS[3], abs=4)
