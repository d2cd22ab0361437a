"""Training the upscaler: its pairs, its losses, and that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.shards import make_shards
from support.tiny_model import tiny_config

from stages.common.checkpoint import load_upscaler
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.manifest import ArtifactKind
from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.models.first_stage import build_first_stage
from stages.models.upscaler import Upscaler
from stages.upscaler.pairs import EYES, MOUTH, FacePairs, corner_at, draw_corner
from stages.upscaler.run import UPSCALER
from stages.upscaler.trainer import UpscalerTrainer, gradient_loss, sharpness, sharpness_loss
from stages.vqgan.run import VQGAN


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("large"), size_px=128)


@pytest.fixture(scope="module")
def first_stage():
    torch.manual_seed(0)
    return build_first_stage(tiny_config(VQGAN).network).eval().requires_grad_(False)


def pairs_of(large, first_stage, *settings, variants=2):
    config = tiny_config(UPSCALER, *settings)
    return FacePairs(ShardDataset(large, "train"), first_stage, config, variants=variants, seed=3)


def test_a_picture_comes_as_it_is_and_moved_and_always_the_same(large, first_stage):
    pairs = pairs_of(large, first_stage)
    assert len(pairs) == 2 * len(pairs.data)
    assert pairs[0].small_SSC.shape == (32, 32, 3)
    np.testing.assert_array_equal(pairs[4].large_LLC, pairs.data[2])
    assert (pairs[5].large_LLC != pairs.data[2]).any()
    np.testing.assert_array_equal(pairs[5].large_LLC, pairs_of(large, first_stage)[5].large_LLC)


def test_pictures_of_another_size_are_bad_input(tmp_path, first_stage):
    with pytest.raises(BadInputError, match=r"have 32 px, the first stage's times 4 are 128"):
        pairs_of(make_shards(tmp_path), first_stage)


def test_patches_lie_within_the_crop_and_mostly_on_mouths_and_eyes():
    config = tiny_config(UPSCALER)
    random = np.random.default_rng(0)
    corners = np.array([draw_corner(config, 32, random) for _ in range(300)])
    assert (corners >= 0).all()
    assert (corners + config.patch_hw <= 32).all()
    mouth = np.array(corner_at(MOUTH, config.patch_hw, 32))
    eyes = [np.array(corner_at(eye, config.patch_hw, 32)) for eye in EYES]
    assert 0.5 < (np.abs(corners - mouth).max(axis=1) <= 3).mean() < 0.75
    assert sum((np.abs(corners - eye).max(axis=1) <= 3).mean() for eye in eyes) > 0.25


def test_losses_are_zero_for_equal_pictures_and_see_what_is_missing():
    torch.manual_seed(0)
    real = torch.rand(1, 3, 32, 32) * 2 - 1
    flat = torch.zeros_like(real)
    for loss in (gradient_loss, sharpness_loss):
        assert float(loss(real, real)) == pytest.approx(0, abs=1e-6)
        assert float(loss(flat, real)) > 0.05
    assert float(sharpness_loss(real.flip(3), real)) < 0.3 * float(sharpness_loss(flat, real))
    assert sharpness(real) > 100 * sharpness(flat + 1e-3)


def test_a_network_learns_and_is_compared_with_bicubic(large, first_stage):
    config = tiny_config(UPSCALER, "loop.batch_size=8", "sharpness_weight=0")
    data = pairs_of(large, first_stage, variants=1)
    torch.manual_seed(0)
    trainer = UpscalerTrainer(
        Upscaler(config.network),
        None,
        config,
        (data, data),
        stepper=Stepper(config.loop, RunContext(Path())),
        seed=0,
    )
    before = trainer.validate()
    assert before["val_psnr_db"] == pytest.approx(before["val_psnr_bicubic_db"], abs=1e-4)
    for step in range(40):
        trainer.train_step(step, 3e-3, torch.Generator().manual_seed(step))
    assert trainer.validate()["val_psnr_db"] > before["val_psnr_db"] + 1
    assert trainer.pictures()["mouths"].ndim == 3


def test_the_stage_writes_a_network_that_can_be_read(large, tmp_path):
    shards = make_shards(tmp_path / "small")
    first_stage = execute(VQGAN, tiny_config(VQGAN), {"data": shards}, tmp_path / "vqgan")
    inputs = {"data": large, "first_stage": first_stage}
    made = execute(UPSCALER, tiny_config(UPSCALER), inputs, tmp_path / "upscaler")
    assert made.manifest.kind is ArtifactKind.UPSCALER
    assert made.manifest.counts.ok == 16
    network = load_upscaler(made.root)
    assert network is not None
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3, 128, 128)
