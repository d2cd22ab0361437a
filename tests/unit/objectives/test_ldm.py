"""Every term of the denoiser's objective, and what the network is told."""

from pathlib import Path

import pytest
import torch
from support.descents import assert_dropped_one_by_one, descents_of, draws_of, unused_weights
from support.tiny_model import tiny_config

from stages.common.emotions import NULL_CLASS
from stages.common.latents import CachedLatents
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.ldm.run import LDM
from stages.ldm.trainer import LdmTrainer
from stages.models.denoiser import build_denoiser
from stages.models.first_stage import Pixels, PixelsConfig
from stages.models.variational import ReverseProcess


@pytest.fixture
def trainer_of():
    def make(*settings):
        config = tiny_config(LDM, "loop.batch_size=8", *settings)
        torch.manual_seed(0)
        data = (CachedLatents(torch.randn(2, 4, 3, 8, 8).half()), torch.tensor([0, 1, 2, 5]).numpy())
        stepper = Stepper(config.loop, RunContext(Path()))
        space = Pixels(PixelsConfig(size_px=8))
        return LdmTrainer(build_denoiser(config.network), space, config, data, data, stepper=stepper, seed=0)

    return make


class Recorder(torch.nn.Module):
    """Says 0.3 of everything, and keeps what it is told."""

    def forward(self, *told):
        self.told = told
        return torch.full_like(told[0], 0.3)


def test_conditions_are_dropped_sample_by_sample(trainer_of):
    trainer = trainer_of("unconditional_probability=0.3")
    draws = draws_of(trainer, 150)
    dropped = torch.stack([d["labels"] == NULL_CLASS for d in draws])
    assert_dropped_one_by_one(dropped, 0.3)
    true = torch.stack([trainer.train_labels[trainer.order.indices(step)] for step in range(150)])
    assert torch.equal(torch.stack([d["labels"] for d in draws])[~dropped], true[~dropped])


def test_without_a_probability_no_condition_is_dropped(trainer_of):
    trainer = trainer_of("unconditional_probability=0")
    assert all((d["labels"] != NULL_CLASS).all() for d in draws_of(trainer, 20))


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_network_is_told_noisy_latents_their_level_and_their_class(trainer_of, prediction):
    trainer = trainer_of(f"schedule.prediction_type={prediction}", "unconditional_probability=0")
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    draws = descent.draws
    abar = trainer.objective.process.abar_T[draws["timesteps"]].view(-1, 1, 1, 1)
    z_t, timesteps, labels = trainer.network.told
    torch.testing.assert_close(z_t, abar.sqrt() * draws["z0"] + (1 - abar).sqrt() * draws["noise"])
    assert torch.equal(timesteps, draws["timesteps"])
    assert torch.equal(labels, trainer.train_labels[trainer.order.indices(0)])
    target = {
        "epsilon": draws["noise"],
        "sample": draws["z0"],
        "v_prediction": abar.sqrt() * draws["noise"] - (1 - abar).sqrt() * draws["z0"],
    }[prediction]
    torch.testing.assert_close(descent.loss, (0.3 - target).square().mean())


def test_levels_and_noise_are_drawn_for_each_sample(trainer_of):
    draws = draws_of(trainer_of(), 30)
    timesteps = torch.stack([d["timesteps"] for d in draws])
    assert (timesteps.amax(dim=1) > timesteps.amin(dim=1)).all()
    assert timesteps.min() < 60
    assert 940 < timesteps.max() <= 999
    noise = torch.stack([d["noise"] for d in draws])
    assert abs(noise.std().item() - 1) < 0.02
    assert (noise.flatten(2).diff(dim=1).abs().amax(dim=2) > 0.5).all()


def test_the_weight_of_min_snr_and_the_bound_are_in_the_loss(trainer_of):
    trainer = trainer_of("min_snr_gamma=5", "vlb_weight=0.01")
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    draws, process = descent.draws, trainer.objective.process
    abar = process.abar_T[draws["timesteps"]]
    snr = abar / (1 - abar)
    error = (0.3 - draws["noise"]).square().mean(dim=(1, 2, 3))
    simple = (snr.clamp(max=5) / snr * error).mean()
    z_t = trainer.network.told[0]
    estimate = process.estimate(torch.full_like(z_t, 0.3), z_t, draws["timesteps"])
    reverse = ReverseProcess(process, 2 / 255)
    vlb = 1000 * reverse.bound_terms(estimate, draws["z0"], z_t, draws["timesteps"]).mean()
    torch.testing.assert_close(descent.loss, simple + 0.01 * vlb)


def test_class_and_level_reach_the_output(trainer_of):
    network = trainer_of().denoiser.eval()
    z = torch.randn(2, 3, 8, 8)

    def said(timesteps, labels):
        with torch.no_grad():
            return network(z, torch.tensor(timesteps), torch.tensor(labels))

    plain = said([10, 10], [1, 1])
    for other in (said([900, 10], [1, 1]), said([10, 10], [2, 1]), said([10, 10], [NULL_CLASS, 1])):
        assert (other[0] - plain[0]).abs().max() > 1e-4
        torch.testing.assert_close(other[1], plain[1])


@pytest.mark.parametrize("settings", [[], ["unconditional_probability=0", "network.learned_variance=true"]])
def test_every_weight_is_part_of_the_loss(trainer_of, settings):
    (descent,) = descents_of(trainer_of(*settings))
    assert unused_weights(descent.loss, descent.network) == []
