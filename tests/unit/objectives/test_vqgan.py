"""Every term of the first stage's objective, and of its discriminator's, with the weight and the sign that it has."""

from pathlib import Path

import pytest
import torch
from diffusers.models.autoencoders.vq_model import VectorQuantizer
from support.descents import descents_of
from support.shards import make_shards
from support.tiny_model import tiny_config
from torch import nn

from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.models.first_stage import build_first_stage
from stages.models.losses import adaptive_adversarial_weight, hinge_discriminator_loss
from stages.vqgan.config import VqganConfig
from stages.vqgan.run import VQGAN
from stages.vqgan.trainer import VqganTrainer


class Cubed(nn.Module):
    """Stands for a perceptual distance."""

    def forward(self, x, y):
        return (x - y).abs().pow(3).mean()


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    shards = make_shards(tmp_path_factory.mktemp("objective"))
    return ShardDataset(shards, "train"), ShardDataset(shards, "val")


@pytest.fixture
def trainer_of(splits):
    def make(*settings):
        config = tiny_config(VQGAN, "codebook_start=0", "loop.batch_size=4", *settings)
        torch.manual_seed(0)
        stepper = Stepper(config.loop, RunContext(Path()))
        return VqganTrainer(build_first_stage(config.network), Cubed(), config, splits, stepper=stepper, seed=0)

    return make


def terms(trainer, x):
    """l1, perceptual, commitment and codebook by hand, and the pictures."""
    model = trainer.model
    features = model.encode_features(x)
    flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
    codes = model.vq.quantize.embedding.weight
    nearest = codes[torch.cdist(flat, codes).argmin(dim=1)]
    quantized = nearest.view(*features.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
    pictures = model.decode_features(features + (quantized - features).detach())
    return {
        "l1": (pictures - x).abs().mean(),
        "perceptual": (pictures - x).abs().pow(3).mean(),
        "commitment": (flat - nearest.detach()).square().mean(),
        "codebook": (flat.detach() - nearest).square().mean(),
    }, pictures


def gradients(trainer, loss):
    weights = (trainer.model.vq.encoder.conv_in.weight, trainer.model.vq.quantize.embedding.weight)
    return torch.autograd.grad(loss, weights, retain_graph=True)


WEIGHTS = {"l1": 2.0, "perceptual": 3.0, "commitment": 5.0, "codebook": 7.0}


@pytest.mark.parametrize("alone", [None, *WEIGHTS])
def test_the_loss_and_its_gradient_are_the_weighted_sum_of_all_terms(trainer_of, alone):
    weights = {name: weight for name, weight in WEIGHTS.items() if alone in {None, name}}
    settings = [f"{name}_weight={weights.get(name, 0)}" for name in WEIGHTS]
    trainer = trainer_of("adversarial_start=null", *settings)
    (descent,) = descents_of(trainer)
    by_hand, _ = terms(trainer, descent.draws["x"])
    expected = sum(weight * by_hand[name] for name, weight in weights.items())
    torch.testing.assert_close(descent.loss, expected)
    parameters = list(trainer.model.parameters())
    found, wanted = (
        torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
        for loss in (descent.loss, expected)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert any(gradient.abs().max() > 0 for gradient in found)


def test_the_default_weights_are_those_that_imported_checkpoints_were_trained_with(trainer_of):
    config = VqganConfig()
    assert (config.commitment_weight, config.codebook_weight) == (1.0, 0.25)
    trainer = trainer_of("adversarial_start=null", "l1_weight=0", "perceptual_weight=0")
    (descent,) = descents_of(trainer)
    features = trainer.model.encode_features(descent.draws["x"])
    published = VectorQuantizer(16, 3, beta=0.25, legacy=True)
    published.embedding = trainer.model.vq.quantize.embedding
    expected = published(features)[1]
    torch.testing.assert_close(descent.loss, expected)
    for one, other in zip(gradients(trainer, descent.loss), gradients(trainer, expected), strict=True):
        torch.testing.assert_close(one, other)


def test_the_adversarial_term_makes_the_discriminator_take_pictures_for_real(trainer_of):
    trainer = trainer_of("adversarial_start=0", "adversarial_weight=0.5")
    generator, _ = descents_of(trainer)
    by_hand, pictures = terms(trainer, generator.draws["x"])
    reconstruction = by_hand["l1"] + by_hand["perceptual"] + by_hand["commitment"] + 0.25 * by_hand["codebook"]
    score = trainer.discriminator(pictures).mean()
    weight = adaptive_adversarial_weight(reconstruction, -score, trainer.model.vq.decoder.conv_out.weight)
    assert weight > 0
    torch.testing.assert_close(generator.loss, reconstruction - 0.5 * weight * score)
    # A small step down the adversarial term alone raises the score.
    bias = trainer.model.vq.decoder.conv_out.bias
    down = [torch.autograd.grad(loss, bias, retain_graph=True)[0] for loss in (generator.loss, reconstruction)]
    (up,) = torch.autograd.grad(score, bias)
    assert ((down[0] - down[1]) * up).sum() < 0


def test_the_generators_step_leaves_the_discriminator_alone(trainer_of):
    trainer = trainer_of("adversarial_start=0")
    generator, _ = descents_of(trainer)
    generator.loss.backward()
    assert all(parameter.grad is None for parameter in trainer.discriminator.parameters())
    assert all(parameter.requires_grad for parameter in trainer.discriminator.parameters())


def test_the_discriminator_learns_to_tell_real_from_made(trainer_of):
    trainer = trainer_of("adversarial_start=0")
    generator, critic = descents_of(trainer)
    assert critic.network is trainer.critic
    _, pictures = terms(trainer, generator.draws["x"])
    real, made = trainer.discriminator(generator.draws["x"]), trainer.discriminator(pictures.detach())
    torch.testing.assert_close(critic.loss, hinge_discriminator_loss(real, made), rtol=1e-4, atol=1e-5)
    assert real.mean() != made.mean()
    critic.loss.backward()
    assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_before_its_start_there_is_no_adversary(trainer_of):
    trainer = trainer_of("adversarial_start=1")
    (descent,) = descents_of(trainer, step=0)
    by_hand, _ = terms(trainer, descent.draws["x"])
    expected = by_hand["l1"] + by_hand["perceptual"] + by_hand["commitment"] + 0.25 * by_hand["codebook"]
    torch.testing.assert_close(descent.loss, expected)


def test_half_of_the_pictures_are_mirrored(trainer_of):
    trainer = trainer_of("adversarial_start=null", "loop.batch_size=16")
    x = trainer.read(0)
    plain = torch.from_numpy(trainer.train_data.batch(trainer.order.indices(0))).permute(0, 3, 1, 2) / 127.5 - 1
    same = [torch.allclose(a, b, atol=1e-5) for a, b in zip(x, plain, strict=True)]
    turned = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(x, plain, strict=True)]
    assert all(a != b for a, b in zip(same, turned, strict=True))
    assert 0 < sum(turned) < 16
