"""What trains what: L_simple the prediction, the bound the learned variance."""

import pytest
import torch
from support.tiny_model import tiny_config

from stages.ldm.objective import Objective
from stages.ldm.run import LDM
from stages.models.denoiser import build_denoiser


def loss_of(*settings):
    """The network, its objective's value, and what it shows, on one batch."""
    config = tiny_config(LDM, *settings)
    torch.manual_seed(0)
    network = build_denoiser(config.network)
    z0, noise = torch.randn(2, 4, 3, 8, 8)
    objective = Objective(config, of_pictures=False, device="cpu")
    loss, shown = objective(network, z0, noise, torch.tensor([1, 200, 500, 900]), torch.tensor([0, 1, 2, 8]))
    return network, loss, shown


def gradients_of_the_last_layer(network, value):
    (gradient,) = torch.autograd.grad(value, network.unet.conv_out.weight)
    return gradient.chunk(2)


def test_the_bound_trains_the_variance_and_nothing_else():
    network, loss, shown = loss_of("network.learned_variance=true", "vlb_weight=0.001")
    torch.testing.assert_close(loss, shown["loss"] + 0.001 * shown["vlb"])
    of_prediction, of_variance = gradients_of_the_last_layer(network, shown["vlb"])
    assert of_prediction.abs().max() == 0
    assert of_variance.abs().max() > 0


def test_the_simple_loss_trains_the_prediction_and_nothing_else():
    network, _, shown = loss_of("network.learned_variance=true", "vlb_weight=0.001")
    of_prediction, of_variance = gradients_of_the_last_layer(network, shown["loss"])
    assert of_prediction.abs().max() > 0
    assert of_variance.abs().max() == 0


def test_with_a_fixed_variance_the_bound_trains_the_prediction():
    network, loss, shown = loss_of("vlb_weight=0.001")
    (gradient,) = torch.autograd.grad(shown["vlb"], network.unet.conv_out.weight)
    assert gradient.abs().max() > 0
    assert loss > shown["loss"]


@pytest.mark.parametrize("settings", [[], ["network.learned_variance=true"]])
def test_without_a_weight_there_is_no_bound(settings):
    _, loss, shown = loss_of(*settings)
    assert set(shown) == {"loss"}
    assert loss is shown["loss"]
