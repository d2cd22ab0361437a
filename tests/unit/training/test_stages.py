"""What training refuses, what it learns, and what it says of itself."""

import json
from pathlib import Path

import pytest
import torch
from support.shards import make_shards
from support.tiny_model import tiny_config

from stages.common.checkpoint import load_denoiser, load_model_info
from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.latents import CachedLatents
from stages.common.manifest import find_problems
from stages.common.shards import ShardDataset, count_labelled
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.emotion.run import EMOTION
from stages.emotion.trainer import EmotionTrainer, augment, draw_augmentation
from stages.ldm.conditions import FaceConditions
from stages.ldm.run import LDM
from stages.ldm.trainer import LdmTrainer
from stages.models.denoiser import build_denoiser
from stages.models.emotion_classifier import EmotionClassifier
from stages.models.first_stage import Pixels, PixelsConfig, build_first_stage
from stages.vqgan.run import VQGAN
from stages.vqgan.trainer import VqganTrainer

LATENT_SPACE = Pixels(PixelsConfig(size_px=8))


def stepper(config):
    return Stepper(config.loop, RunContext(Path()))


def train(trainer, steps, learning_rate):
    """What each step shows."""
    return [trainer.train_step(step, learning_rate, torch.Generator().manual_seed(step)) for step in range(steps)]


def mean(values):
    return sum(values) / len(values)


def test_outputs_are_whole_and_the_metrics_are_those_of_the_last_step(training):
    manifest = training.reference.manifest
    assert find_problems(training.reference) == []
    last = json.loads(training.reference.path("history.json").read_text())[-1]
    assert last["step"] == manifest.config["loop"]["steps"]
    assert {name: manifest.metrics[name] for name in last} == last
    chosen = {"finetune": manifest.config.get("samples")}
    assert manifest.counts.total == manifest.counts.ok == chosen.get(training.spec.name, 16)


def test_an_empty_validation_split_is_bad_input(training, tmp_path, monkeypatch):
    monkeypatch.setattr("support.shards.COUNTS", {"train": {"neutral": 2, "happy": 2}})
    inputs = training.inputs | {"data": make_shards(tmp_path / "data")}
    with pytest.raises(BadInputError, match="no samples in the split 'val'"):
        execute(training.spec, tiny_config(training.spec), inputs, tmp_path / "out")


def test_a_classifier_needs_labels(tmp_path, monkeypatch):
    monkeypatch.setattr("support.shards.COUNTS", {"train": {"happy": 2}, "val": {None: 2}})
    with pytest.raises(BadInputError, match="emotion label"):
        execute(EMOTION, tiny_config(EMOTION), {"data": make_shards(tmp_path / "data")}, tmp_path / "out")


def test_what_has_no_label_is_counted_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("support.shards.COUNTS", {"train": {"happy": 2, None: 3}})
    counts = count_labelled(ShardDataset(make_shards(tmp_path), "train"))
    assert (counts.total, counts.ok, counts.rejected_by_reason) == (5, 2, {"unlabelled": 3})


def test_a_first_stage_with_other_latents_is_bad_input(training_of, tmp_path):
    with pytest.raises(BadInputError, match=r"3 channels at 8 px, the network takes 4 at 8 px.*latent_channels"):
        training_of("ldm").run(tmp_path / "out", "network.latent_channels=4")


def test_another_artifact_as_first_stage_is_bad_input(training_of, tmp_path):
    training = training_of("ldm")
    inputs = training.inputs | {"first_stage": training_of("emotion").reference}
    with pytest.raises(BadInputError, match="holds emotion_classifier, but first_stage must be first_stage"):
        execute(LDM, tiny_config(LDM), inputs, tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


def test_a_model_says_which_emotions_it_has_learned(training_of, tmp_path):
    training = training_of("ldm")
    every = load_model_info(training.reference.root)
    assert every.supported == ("neutral", "happy", "sad")
    assert every.samples == dict.fromkeys(EMOTIONS, 0) | {"neutral": 8, "happy": 6, "sad": 2}
    assert load_model_info(training.run(tmp_path / "out", "min_class_samples=3").root).supported == ("neutral", "happy")


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["min_snr_gamma=5"],
        ["schedule.prediction_type=sample", "schedule.beta_schedule=squaredcos_cap_v2"],
        ["schedule.prediction_type=v_prediction", "schedule.rescale_betas_zero_snr=true", "min_snr_gamma=5"],
        ["network.learned_variance=true", "vlb_weight=0.001"],
    ],
)
def test_a_denoiser_overfits_four_latents(settings):
    config = tiny_config(LDM, "unconditional_probability=0.1", "loop.batch_size=16", *settings)
    torch.manual_seed(0)
    latents = torch.randn(1, 4, 3, 8, 8).repeat(2, 1, 1, 1, 1).half()
    labels = torch.tensor([0, 1, 2, NULL_CLASS]).numpy()
    data = (CachedLatents(latents), FaceConditions(None, labels, config.network))
    trainer = LdmTrainer(
        build_denoiser(config.network), LATENT_SPACE, config, data, data, stepper=stepper(config), seed=0
    )
    before = trainer.validate()["val_loss"]
    train(trainer, 80, 5e-3)
    assert trainer.validate()["val_loss"] < 0.8 * before


def test_a_run_can_start_from_the_weights_of_another(training_of, tmp_path):
    training = training_of("ldm")
    inputs = training.inputs | {"init": training.reference}
    still = tiny_config(LDM, "loop.steps=1", "loop.learning_rate=1e-12")
    before = load_denoiser(training.reference.root).state_dict()
    after = load_denoiser(execute(LDM, still, inputs, tmp_path / "out").root).state_dict()
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(BadInputError, match=r"another network: .*context_dim 16 there, 32 here"):
        execute(LDM, tiny_config(LDM, "network.context_dim=32"), inputs, tmp_path / "other")


def test_validation_takes_the_averaged_weights_and_puts_the_others_back():
    config = tiny_config(LDM)
    torch.manual_seed(0)
    faces = FaceConditions(None, torch.tensor([0, 1, 2, 3]).numpy(), config.network)
    data = (CachedLatents(torch.randn(2, 4, 3, 8, 8).half()), faces)
    trainer = LdmTrainer(
        build_denoiser(config.network), LATENT_SPACE, config, data, data, stepper=stepper(config), seed=0
    )
    train(trainer, 2, 1e-2)
    weights = [p.clone() for p in trainer.denoiser.parameters()]
    averaged = [p.clone() for p in trainer.ema.shadow_params]
    assert not all(torch.equal(a, b) for a, b in zip(weights, averaged, strict=True))
    assert trainer.validate() == trainer.validate()
    assert all(torch.equal(a, b) for a, b in zip(weights, trainer.denoiser.parameters(), strict=True))
    trainer.ema.copy_to(trainer.denoiser.parameters())
    assert all(torch.equal(a, b) for a, b in zip(averaged, trainer.denoiser.parameters(), strict=True))


def test_a_first_stage_overfits_its_pictures(training_of):
    data = training_of("vqgan").inputs["data"]
    config = tiny_config(VQGAN, "codebook_start=1000", "adversarial_start=null", "loop.batch_size=8")
    torch.manual_seed(0)
    splits = (ShardDataset(data, "train"), ShardDataset(data, "val"))
    trainer = VqganTrainer(build_first_stage(config.network), None, config, splits, stepper=stepper(config), seed=0)
    losses = [row["l1"] for row in train(trainer, 60, 5e-3)]
    assert mean(losses[-10:]) < 0.6 * mean(losses[:3])


def test_perplexity_counts_the_codes_that_are_really_used(training_of):
    data = training_of("vqgan").inputs["data"]
    config = tiny_config(VQGAN, "codebook_start=0", "adversarial_start=null")
    torch.manual_seed(0)
    model = build_first_stage(config.network)
    splits = (ShardDataset(data, "train"), ShardDataset(data, "val"))
    trainer = VqganTrainer(model, None, config, splits, stepper=stepper(config), seed=0)
    with torch.no_grad():
        model.vq.quantize.embedding.weight[1:] = 1e3
    assert trainer.validate()["codebook_perplexity"] == pytest.approx(1)
    trainer.train_step(0, 1e-3, torch.Generator().manual_seed(0))
    row = trainer.validate()
    assert 1 <= row["codebook_perplexity"] <= 16 * row["codebook_used"] + 1e-6


def test_the_codebook_starts_from_encoder_outputs_and_unused_codes_are_revived(training_of):
    data = training_of("vqgan").inputs["data"]
    config = tiny_config(VQGAN, "codebook_start=1", "adversarial_start=null", "revive_every=2")
    torch.manual_seed(0)
    model = build_first_stage(config.network)
    splits = (ShardDataset(data, "train"), ShardDataset(data, "val"))
    trainer = VqganTrainer(model, None, config, splits, stepper=stepper(config), seed=0)
    before = model.vq.quantize.embedding.weight.detach().clone()
    train(trainer, 1, 1e-3)
    assert torch.equal(model.vq.quantize.embedding.weight, before)
    codes = model.vq.quantize.embedding.weight
    for step in range(1, 6):
        trainer.train_step(step, 1e-3, torch.Generator().manual_seed(step))
        if step == 1:
            assert not torch.isclose(codes, before).all(dim=1).any()
            with torch.no_grad():
                codes[5] = 1e3
    # Far from every encoder output, code 5 was not chosen in the steps 4 and 5 that the second revival looks back on.
    assert codes[5].abs().max() < 100


def test_the_discriminator_joins_when_it_is_told_to(training_of):
    data = training_of("vqgan").inputs["data"]
    config = tiny_config(VQGAN, "adversarial_start=1")
    torch.manual_seed(0)
    splits = (ShardDataset(data, "train"), ShardDataset(data, "val"))
    trainer = VqganTrainer(build_first_stage(config.network), None, config, splits, stepper=stepper(config), seed=0)
    rows = train(trainer, 2, 1e-3)
    assert "discriminator" not in rows[0]
    assert rows[1]["discriminator"] > 0


def test_a_classifier_overfits_its_pictures(training_of):
    data = training_of("emotion").inputs["data"]
    settings = ["max_shift=0", "max_gain=0", "loop.batch_size=16", "label_smoothing=0", "network.dropout=0"]
    config = tiny_config(EMOTION, *settings)
    torch.manual_seed(0)
    splits = (ShardDataset(data, "train"), ShardDataset(data, "val"))
    trainer = EmotionTrainer(EmotionClassifier(config.network), config, splits, stepper=stepper(config), seed=0)
    losses = [row["loss"] for row in train(trainer, 60, 1e-2)]
    assert mean(losses[-10:]) < 0.7 * mean(losses[:3])


def test_augmentation_keeps_range_and_shape_and_can_be_turned_off():
    x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    changed = augment(x, draw_augmentation(4, tiny_config(EMOTION), torch.Generator().manual_seed(1)))
    assert changed.shape == x.shape
    assert changed.abs().max() <= 1
    assert (changed != x).flatten(1).any(dim=1).all()
    off = tiny_config(EMOTION, "max_shift=0", "max_gain=0")
    still = augment(x, draw_augmentation(4, off, torch.Generator().manual_seed(1)))
    candidates = [y for base in (x, x.flip(3)) for y in (base, base.mean(dim=1, keepdim=True).expand_as(base))]
    for i, picture in enumerate(still):
        assert any(torch.allclose(picture, y[i], atol=1e-4) for y in candidates)
