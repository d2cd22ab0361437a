"""What a denoiser trains on, by sample and mirror image."""

import numpy as np
import pytest
import torch
from support.shards import make_shards

from stages.common.errors import ResumeConflictError
from stages.common.latents import CachedLatents, Pictures, largest_rms, open_latents
from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.tensors import to_model_range
from stages.models.first_stage import FirstStageConfig, Pixels, PixelsConfig, build_first_stage

INDICES = np.array([2, 0, 2])
MIRRORED = np.array([False, True, True])


def test_cached_latents_are_picked_by_sample_and_mirror_image():
    latents = torch.arange(2 * 5 * 12, dtype=torch.float16).view(2, 5, 3, 2, 2)
    data = CachedLatents(latents)
    assert (len(data), data.shape) == (5, (3, 2, 2))
    batch = data.batch(INDICES, MIRRORED)
    assert batch.dtype is torch.float32
    assert torch.equal(batch, torch.stack([latents[0, 2], latents[1, 0], latents[1, 2]]).float())


@pytest.fixture
def train(tmp_path):
    return ShardDataset(make_shards(tmp_path / "shards"), "train")


def test_pictures_stand_for_latents_where_there_is_no_first_stage(train, tmp_path):
    data = open_latents(Pixels(PixelsConfig(size_px=32)), train, "train", RunContext(tmp_path))
    assert isinstance(data, Pictures)
    assert (len(data), data.shape) == (len(train), (3, 32, 32))
    batch = data.batch(INDICES, MIRRORED)
    as_is = to_model_range(train.batch(INDICES))
    assert torch.equal(batch[0], as_is[0])
    assert torch.equal(batch[1:], as_is[1:].flip(3))


def test_latents_are_those_of_the_picture_and_of_its_mirror_image(train, tmp_path):
    torch.manual_seed(0)
    config = FirstStageConfig(
        size_px=32, block_out_channels=(8, 16), layers_per_block=1, attention=False, codebook_size=4, norm_num_groups=4
    )
    first_stage = build_first_stage(config).eval().requires_grad_(False)
    context = RunContext(tmp_path)
    data = open_latents(first_stage, train, "train", context)
    x = to_model_range(train.batch(INDICES))
    x[1:] = x[1:].flip(3)
    torch.testing.assert_close(data.batch(INDICES, MIRRORED), first_stage.encode(x), rtol=2e-3, atol=2e-3)
    again = open_latents(first_stage, train, "train", context)
    assert torch.equal(again.batch(INDICES, MIRRORED), data.batch(INDICES, MIRRORED))
    (context.work / "latents-train.pt").write_bytes(b"damaged")
    with pytest.raises(ResumeConflictError, match="damaged"):
        open_latents(first_stage, train, "train", context)


def test_the_largest_picture_says_how_large_latents_are():
    latents = torch.full((2, 70, 3, 2, 2), 0.5).half()
    latents[0, 41] = -1.5
    latents[1, 3] = 9
    assert largest_rms(CachedLatents(latents)) == 1.5
