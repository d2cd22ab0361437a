"""What the classifiers and the lip reader are told, and what they are trained to say."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.descents import descents_of, draws_of, unused_weights
from support.shards import make_shards
from support.talking import make_clips
from support.tiny_model import tiny_config

from stages.classifier.run import CLASSIFIER
from stages.classifier.trainer import ClassifierTrainer
from stages.common.engine import execute
from stages.common.latents import CachedLatents
from stages.common.shards import UNLABELLED, ShardDataset
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.emotion.run import EMOTION
from stages.emotion.trainer import EmotionTrainer, augment
from stages.lipreader import run as lipreader_stage
from stages.lipreader.batches import Spoken
from stages.lipreader.run import LIPREADER
from stages.models.emotion_classifier import EmotionClassifier
from stages.models.noisy_classifier import NoisyClassifier

LABELS = np.array([0, 1, 2, UNLABELLED])


class Recorder(torch.nn.Module):
    """Gives logits that depend on the pictures alone, and keeps what it is told."""

    def forward(self, *told):
        self.told = told
        return told[0].flatten(1)[:, :8] * 2


def test_a_noisy_classifier_is_told_noisy_latents_and_their_level():
    config = tiny_config(CLASSIFIER, "loop.batch_size=6")
    data = (CachedLatents(torch.randn(2, 4, 3, 8, 8).half()), LABELS)
    stepper = Stepper(config.loop, RunContext(Path()))
    trainer = ClassifierTrainer(NoisyClassifier(config.network), config, data, data, stepper=stepper, seed=0)
    (descent,) = descents_of(trainer)
    assert unused_weights(descent.loss, descent.network) == []
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    draws = descent.draws
    abar = trainer.process.abar_T[draws["timesteps"]].view(-1, 1, 1, 1)
    z_t, timesteps = trainer.network.told
    torch.testing.assert_close(z_t, abar.sqrt() * draws["z0"] + (1 - abar).sqrt() * draws["noise"])
    assert torch.equal(timesteps, draws["timesteps"])
    labels = torch.from_numpy(LABELS[trainer._indices(0)])
    assert torch.equal(draws["labels"], labels)
    torch.testing.assert_close(descent.loss, F.cross_entropy(z_t.flatten(1)[:, :8] * 2, labels))
    drawn = torch.stack([d["timesteps"] for d in draws_of(trainer, 40)])
    assert (drawn.amax(dim=1) > drawn.amin(dim=1)).all()
    assert drawn.min() < 80
    assert 920 < drawn.max() <= 999


def test_the_level_reaches_a_noisy_classifiers_answer():
    torch.manual_seed(0)
    network = NoisyClassifier(tiny_config(CLASSIFIER).network).eval()
    z = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert (network(z, torch.tensor([5])) - network(z, torch.tensor([900]))).abs().max() > 1e-5


def test_an_emotion_classifier_sees_augmented_pictures_and_learns_their_labels(tmp_path):
    shards = make_shards(tmp_path)
    splits = (ShardDataset(shards, "train"), ShardDataset(shards, "val"))
    config = tiny_config(EMOTION, "loop.batch_size=8", "label_smoothing=0.2")
    stepper = Stepper(config.loop, RunContext(Path()))
    trainer = EmotionTrainer(EmotionClassifier(config.network), config, splits, stepper=stepper, seed=0)
    (descent,) = descents_of(trainer)
    assert unused_weights(descent.loss, descent.network) == []
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    (seen,) = trainer.network.told
    torch.testing.assert_close(seen, augment(descent.draws["x"], descent.draws))
    assert not torch.allclose(seen, descent.draws["x"])
    labels = torch.from_numpy(splits[0].labels[trainer.labelled[trainer.order.indices(0)]])
    expected = F.cross_entropy(seen.flatten(1)[:, :8] * 2, labels, label_smoothing=0.2)
    torch.testing.assert_close(descent.loss, expected)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_a_lip_reader_weighs_ctc_against_attention(tmp_path, monkeypatch, weight):
    made = []
    monkeypatch.setattr(lipreader_stage, "fit", lambda trainee, *_: made.append(trainee) or {})
    clips = make_clips(tmp_path / "clips")
    execute(LIPREADER, tiny_config(LIPREADER, f"ctc_weight={weight}"), {"data": clips}, tmp_path / "out")
    mouths = np.random.default_rng(0).integers(0, 255, (12, 88, 88), np.uint8)
    loss, shown = made[0]._loss([[Spoken(mouths, [1, 2], 1 / 2)]])
    ctc, attention = shown["ctc"], shown["attention"]
    torch.testing.assert_close(loss, weight * ctc + (1 - weight) * attention)
    assert unused_weights(loss, made[0].model) == []
    for part in (ctc, attention):
        gradients = torch.autograd.grad(part, list(made[0].model.parameters()), allow_unused=True, retain_graph=True)
        assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)
