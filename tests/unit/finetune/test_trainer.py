"""The steps of tuning, without a first stage and with guides whose answers are known."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from support.descents import descents_of, unused_weights
from torch import nn

from stages.common.checkpoint import ModelInfo
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.lora import add_lora
from stages.common.stage import RunContext
from stages.common.training.config import LoopConfig
from stages.common.training.stepper import Stepper
from stages.finetune.config import FinetuneConfig
from stages.finetune.noise import InvertedPictures
from stages.finetune.trainer import FinetuneTrainer, Losses
from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.first_stage import Pixels, PixelsConfig
from stages.models.process import forward_process
from stages.models.schedule import ScheduleConfig

NETWORK = DenoiserConfig(
    latent_size=8,
    block_out_channels=(8, 16),
    attention_levels=(False, True),
    layers_per_block=1,
    channels_per_head=8,
    context_dim=16,
    norm_num_groups=4,
)


@dataclass(frozen=True)
class FakeShards:
    """Random pictures of 8 px."""

    labels: np.ndarray
    keys: tuple[str, ...] = ("a", "b", "c", "d")

    def batch(self, indices):
        random = np.random.default_rng(0)
        return random.integers(0, 256, (len(self.labels), 8, 8, 3), dtype=np.uint8)[indices]


class Brightness(nn.Module):
    """Wants white pictures; what it is told of sources is kept."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, edited, source, labels):
        self.seen.append((source, labels))
        return (1 - edited).square().mean()


class Distance(nn.Module):
    def forward(self, edited, source):
        return (edited - source).abs().mean()


def make_trainer(guide, identity=None, **fields):
    config = FinetuneConfig(
        steps=2, guidance=2.0, loop=LoopConfig(steps=20, batch_size=2, learning_rate=0.02), **fields
    )
    torch.manual_seed(0)
    denoiser = build_denoiser(NETWORK).eval().requires_grad_(False)
    add_lora(denoiser.unet, 4, ("to_q", "to_v", "conv1", "conv2"))
    process = forward_process(ScheduleConfig())
    first_stage = Pixels(PixelsConfig(size_px=8))
    info = ModelInfo(supported=("neutral", "happy"), samples={})
    editor = Editor(first_stage, denoiser, None, process, info, "e" * 64, "cpu")
    data = FakeShards(np.array([0, 2, 3, 0]))
    noise = 0.5 * torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    pictures = InvertedPictures(data, np.array([0, 1, 3]), noise[:3])
    stepper = Stepper(config.loop, RunContext(Path()))
    return FinetuneTrainer(
        editor, Losses(guide, identity), config, pictures, pictures, guidance=2.0, stepper=stepper, seed=0
    )


def test_steps_lower_the_guide():
    trainer = make_trainer(Brightness(), pixel_weight=0)
    before = trainer.validate()["val_guide"]
    frozen = trainer.denoiser.emotion_embedding.weight.clone()
    for step in range(20):
        trainer.train_step(step, 0.02, torch.Generator())
    assert trainer.validate()["val_guide"] < 0.8 * before
    assert torch.equal(trainer.denoiser.emotion_embedding.weight, frozen)


def test_the_loss_is_the_weighted_sum():
    trainer = make_trainer(Brightness(), Distance(), guide_weight=2, identity_weight=3, pixel_weight=5)
    shown = trainer.validate()
    expected = 2 * shown["val_guide"] + 3 * shown["val_identity"] + 5 * shown["val_pixel"]
    assert shown["val_loss"] == pytest.approx(expected, rel=1e-5)
    assert trainer.score(shown) == shown["val_loss"]


def test_guides_are_told_the_source_and_its_own_class():
    guide = Brightness()
    make_trainer(guide).validate()
    assert [label for _, labels in guide.seen for label in labels.tolist()] == [0, 2, 0]
    sources = torch.cat([source for source, _ in guide.seen])
    pictures = torch.from_numpy(FakeShards(np.array([0, 2, 3, 0])).batch(np.array([0, 1, 3]))).permute(0, 3, 1, 2)
    torch.testing.assert_close(sources, pictures / 127.5 - 1)


def test_pictures_show_each_photo_beside_its_edit():
    grid = make_trainer(Brightness()).pictures()["edits"]
    assert grid.shape == (10, 80, 3)
    photo = FakeShards(np.array([0, 2, 3, 0])).batch(np.array([0]))[0]
    assert np.array_equal(grid[1:9, 1:9], photo)


def test_samples_are_named():
    assert set(make_trainer(Brightness()).samples(0).split(", ")) < {"a", "b", "d"}


class Recorder(nn.Module):
    """Gives back what it is given, and keeps what it is told."""

    def forward(self, *told):
        self.told = told
        return told[0]


def test_an_edit_is_made_under_the_target_at_the_scale_that_is_tuned_for():
    trainer = make_trainer(Brightness(), target="sad")
    trainer.network = Recorder()
    z = trainer.train_data.noise_NCHW[:2]
    assert torch.equal(trainer._edit(z), z)
    _, labels, scales = trainer.network.told
    assert labels.tolist() == [EMOTIONS.index("sad")] * 2
    assert scales.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("alone", ["guide", "identity", "pixel"])
def test_each_term_alone_trains_the_edits(alone):
    weights = {f"{name}_weight": 3.0 if name == alone else 0.0 for name in ("guide", "identity", "pixel")}
    trainer = make_trainer(Brightness(), Distance(), **weights)
    (descent,) = descents_of(trainer)
    torch.testing.assert_close(descent.loss, 3 * descent.shown[alone])
    gradients = torch.autograd.grad(descent.loss, list(trainer.tuned.by_name.values()), allow_unused=True)
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
    draws = descent.draws
    with torch.no_grad():
        edited = trainer._edit(draws["z"])
    by_hand = {
        "guide": (1 - edited).square().mean(),
        "identity": (edited - draws["x"]).abs().mean(),
        "pixel": (edited - draws["x"]).square().mean(),
    }
    torch.testing.assert_close(descent.shown[alone].detach(), by_hand[alone])


@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_every_weight_that_is_tuned_is_part_of_the_loss(guidance):
    trainer = make_trainer(Brightness())
    trainer.guidance = guidance
    trainer.denoiser.requires_grad_(True)
    (descent,) = descents_of(trainer)
    assert unused_weights(descent.loss, descent.network) == []
