"""The upscaler's network."""

import pytest
import torch
import torch.nn.functional as F

from stages.common.checkpoint import load_upscaler, save_upscaler
from stages.models.upscaler import Upscaler, UpscalerConfig


@pytest.mark.parametrize("doublings", [1, 2])
def test_an_untrained_network_is_bicubic_interpolation(doublings):
    network = Upscaler(UpscalerConfig(channels=8, blocks=1, doublings=doublings)).eval()
    x = torch.rand(2, 3, 6, 10) * 1.6 - 0.8
    expected = F.interpolate(x, scale_factor=2**doublings, mode="bicubic", align_corners=False)
    torch.testing.assert_close(network(x), expected.clamp(-1, 1))


def test_the_default_network_is_small():
    assert sum(p.numel() for p in Upscaler(UpscalerConfig()).parameters()) < 600_000


def test_weights_go_to_disk_and_back(tmp_path):
    network = Upscaler(UpscalerConfig(channels=8, blocks=2)).eval()
    torch.nn.init.normal_(network.out.weight, std=0.1)
    save_upscaler(network, tmp_path)
    x = torch.rand(1, 3, 5, 7)
    read = load_upscaler(tmp_path)
    assert read is not None
    torch.testing.assert_close(read(x), network(x))
    assert load_upscaler(tmp_path / "elsewhere") is None
