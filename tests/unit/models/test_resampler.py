"""Gradients through DDIM sampling: against differences of the loss, and against sampling without gradients."""

import pytest
import torch

from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.guidance import classifier_free_guidance
from stages.models.process import forward_process
from stages.models.resampler import Resampler
from stages.models.samplers import ddim_sample, edit_timesteps
from stages.models.schedule import ScheduleConfig

TIMESTEPS = edit_timesteps(500, 6)
LABELS, SCALES = torch.tensor([1, 2]), torch.tensor([1.0, 3.0])


@pytest.fixture(scope="module")
def resampler():
    torch.manual_seed(0)
    denoiser = build_denoiser(
        DenoiserConfig(
            latent_size=4,
            block_out_channels=(4, 8),
            attention_levels=(False, True),
            layers_per_block=1,
            channels_per_head=4,
            context_dim=4,
            norm_num_groups=2,
        )
    )
    process = forward_process(ScheduleConfig())
    return Resampler(denoiser.double(), type(process)(process.abar_T.double()), TIMESTEPS).eval()


@pytest.fixture(scope="module")
def noise():
    return torch.randn(2, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_it_samples_as_ddim_does(resampler, noise):
    predict = classifier_free_guidance(
        resampler.denoiser, resampler.process, resampler.denoiser.context(LABELS), SCALES
    )
    expected = ddim_sample(predict, noise, TIMESTEPS, resampler.process.abar_T)
    assert torch.equal(resampler(noise, LABELS, SCALES).detach(), expected)


@pytest.mark.parametrize("name", ["unet.conv_in.weight", "emotion_embedding.weight"])
def test_its_gradient_is_the_slope_of_the_loss(resampler, noise, name):
    weight = resampler.denoiser.get_parameter(name)
    direction = torch.randn(weight.shape, dtype=weight.dtype, generator=torch.Generator().manual_seed(2))

    def loss():
        return resampler(noise, LABELS, SCALES).square().mean()

    (gradient,) = torch.autograd.grad(loss(), weight)
    step = 1e-5
    with torch.no_grad():
        weight.add_(direction, alpha=step)
        above = loss()
        weight.sub_(direction, alpha=2 * step)
        below = loss()
        weight.add_(direction, alpha=step)
    slope = (above - below) / (2 * step)
    assert abs(slope) > 1e-4
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-5, atol=1e-9)


def test_what_is_kept_does_not_grow_with_the_network(resampler, noise):
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        resampler(noise, LABELS, SCALES)
    # Latents alone: one evaluation of the network would save thousands of numbers.
    assert sum(kept) <= 2 * len(TIMESTEPS) * noise.numel()
