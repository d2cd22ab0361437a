"""The talking-face denoiser: contexts of every kind, what it depends on, and the thesis's sizes."""

import pytest
import torch

from stages.common.config import load_config_file, preset_names
from stages.models.first_stage import FirstStageConfig
from stages.models.talker import TalkerConfig, build_talker

SMALL = {
    "latent_size": 8,
    "latent_channels": 2,
    "block_out_channels": (8, 16),
    "attention_levels": (False, True),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "window": 2,
}
PRESETS = [name for name in preset_names() if "talk_training" in load_config_file(name)]
CHANNELS = {"mel": 80, "wav2vec": 768, "wav2vec-logits": 29}


def small(**fields):
    torch.manual_seed(0)
    return build_talker(TalkerConfig(**{**SMALL, **fields})).eval().requires_grad_(False)


def conditions(audio="mel", count=2, length=5):
    return torch.randn(count, length, CHANNELS[audio]), torch.tensor([1, 8])[:count], torch.rand(count, 68, 2)


@pytest.mark.parametrize(
    ("audio", "emotion", "landmarks", "dim"),
    [
        ("wav2vec", True, False, 1024),
        ("wav2vec", False, False, 768),
        ("wav2vec", True, True, 1152),
        ("wav2vec-logits", True, False, 320),
        ("mel", False, False, 256),
        (None, True, True, 384),
        (None, False, False, 1),
    ],
)
def test_any_combination_of_conditions_is_one_context(audio, emotion, landmarks, dim):
    talker = small(audio=audio, emotion=emotion, landmarks=landmarks)
    sound, labels, points = conditions(audio or "mel")
    context = talker.context(sound if audio else None, labels if emotion else None, points if landmarks else None)
    assert talker.config.context_dim == dim
    assert context.expand(2, -1).shape == talker.null_context(2).shape == (2, dim)


def test_a_condition_that_is_used_must_be_given():
    talker = small(audio="mel", emotion=True)
    with pytest.raises(ValueError, match="needs emotion"):
        talker.context(conditions()[0])


def test_landmarks_of_the_mouth_are_not_looked_at():
    talker = small(audio=None, emotion=False, landmarks=True)
    points = torch.rand(2, 68, 2)
    moved = points.clone()
    moved[:, 48:] += 1
    assert torch.equal(talker.context(landmarks_BK2=points), talker.context(landmarks_BK2=moved))
    moved[:, 47] += 1
    assert not torch.equal(talker.context(landmarks_BK2=points), talker.context(landmarks_BK2=moved))


def test_hearing_the_whole_window_tells_the_order_of_its_rows():
    talker = small(audio="mel", emotion=False, hearing="whole")
    sound = torch.randn(1, 5, 80)
    assert (talker.context(sound) - talker.context(sound.flip(1))).abs().max() > 1e-2


@pytest.mark.parametrize("in_blocks", [False, True])
def test_the_output_depends_on_all_that_it_is_given_sample_by_sample(in_blocks):
    talker = small(audio="mel", emotion=True, context_in_blocks=in_blocks)
    sound, labels, _ = conditions()
    z, identity, masked = torch.randn(3, 2, 2, 8, 8)
    times = torch.tensor([10, 500])
    context = talker.context(sound, labels)
    output = talker.predict(z, times, identity, masked, context)
    assert output.shape == z.shape
    first = talker.predict(z[:1], times[:1], identity[:1], masked[:1], context[:1])
    torch.testing.assert_close(output[:1], first, rtol=1e-4, atol=1e-5)
    for other in (
        talker.predict(z + 0.1, times, identity, masked, context),
        talker.predict(z, times + 300, identity, masked, context),
        talker.predict(z, times, identity + 0.1, masked, context),
        talker.predict(z, times, identity, masked + 0.1, context),
        talker.predict(z, times, identity, masked, talker.context(sound + 1, labels)),
        talker.predict(z, times, identity, masked, talker.context(sound, labels - 1)),
    ):
        assert ((other - output).abs().amax(dim=(1, 2, 3)) > 1e-6).all()


def test_the_thesis_network_takes_nine_channels_and_a_context_of_1024():
    assert TalkerConfig(**load_config_file("mead-128")["talk_training"]["network"]) == TalkerConfig()
    with torch.device("meta"):
        talker = build_talker(TalkerConfig())
    assert talker.unet.conv_in.in_channels == 9
    assert talker.unet.config.cross_attention_dim == 1024


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize(
    "variant",
    [{}, {"emotion": False}, {"landmarks": True}, {"audio": "wav2vec-logits"}, *({"window": w} for w in (1, 2, 4, 16))],
    ids=str,
)
def test_presets_and_their_variants_make_the_latents_of_their_first_stage(preset, variant):
    sections = load_config_file(preset)
    config = TalkerConfig(**{**sections["talk_training"]["network"], **variant})
    first_stage = FirstStageConfig(**sections["vqgan"]["network"])
    shape = (2, first_stage.folded_latent_channels, first_stage.latent_size, first_stage.latent_size)
    with torch.device("meta"):
        talker = build_talker(config)
        z = torch.empty(shape)
        sound = torch.empty(2, 2 * config.window + 1, CHANNELS[config.audio])
        context = talker.context(sound, torch.tensor([0, 8]), torch.empty(2, 68, 2))
        assert talker.predict(z, torch.zeros(2, dtype=torch.long), z, z, context).shape == shape
