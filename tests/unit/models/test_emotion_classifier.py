"""The emotion classifier takes crops of any size and gives one logit for each emotion."""

import pytest
import torch

from stages.common.emotions import EMOTIONS
from stages.models.emotion_classifier import EmotionClassifier, EmotionClassifierConfig


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return EmotionClassifier(EmotionClassifierConfig(size_px=32, channels=(4, 8))).eval().requires_grad_(False)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (128, 128), (17, 17), (48, 64)])
def test_any_size_gives_one_logit_for_each_emotion(model, height, width):
    logits = model(torch.rand(2, 3, height, width) * 2 - 1)
    assert logits.shape == (2, len(EMOTIONS))
    assert logits.isfinite().all()


def test_a_picture_and_the_same_picture_larger_look_alike(model):
    small = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    large = small.repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    torch.testing.assert_close(model(large), model(small), rtol=0.05, atol=0.05)


def test_samples_do_not_influence_each_other(model):
    x = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    torch.testing.assert_close(model(x), torch.cat([model(x[i : i + 1]) for i in range(4)]), rtol=1e-4, atol=1e-5)


def test_the_default_halves_the_resolution_at_every_stage_and_fits_the_bundle():
    with torch.device("meta"):
        model = EmotionClassifier(EmotionClassifierConfig())
    assert len(model.blocks) == 4
    # Half precision, in MiB: the bundled model leaves no more room than this.
    assert sum(p.numel() for p in model.parameters()) * 2 / 2**20 < 3
