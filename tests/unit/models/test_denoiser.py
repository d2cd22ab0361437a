"""The denoiser: the thesis's size, that presets fit together, and conditioning."""

import pytest
import torch

from stages.common.config import load_config_file, preset_names
from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.first_stage import FirstStageConfig
from stages.models.patch_autoencoder import PatchAutoencoderConfig


def config_of(preset):
    return DenoiserConfig(**load_config_file(preset)["ldm"]["network"])


def test_the_thesis_network_has_its_published_size():
    with torch.device("meta"):
        model = build_denoiser(config_of("affectnet-128"))
    assert sum(p.numel() for p in model.unet.parameters()) == 156_760_483
    assert model.emotion_embedding.weight.shape == (9, 512)
    assert config_of("affectnet-128") == DenoiserConfig()


@pytest.mark.parametrize("preset", [name for name in preset_names() if "ldm" in load_config_file(name)])
def test_a_preset_denoises_the_latents_of_its_own_first_stage(preset):
    config = config_of(preset)
    settings = load_config_file(preset)
    first_stage: FirstStageConfig | PatchAutoencoderConfig = (
        PatchAutoencoderConfig(**settings["autoencoder"]["network"])
        if "autoencoder" in settings
        else FirstStageConfig(**settings["vqgan"]["network"])
    )
    shape = (2, first_stage.folded_latent_channels, first_stage.latent_size, first_stage.latent_size)
    assert (config.latent_channels, config.latent_size) == shape[1:3]
    with torch.device("meta"):
        eps = build_denoiser(config)(torch.empty(shape), torch.zeros(2, dtype=torch.long), torch.tensor([0, 8]))
    assert eps.shape == shape


def test_there_is_a_class_for_each_emotion_and_one_for_none():
    assert DenoiserConfig().num_classes == len(EMOTIONS)
    with torch.device("meta"):
        assert build_denoiser(config_of("tiny")).null_class == NULL_CLASS


def test_the_noise_estimate_depends_on_latents_time_and_label_sample_by_sample():
    torch.manual_seed(0)
    model = build_denoiser(config_of("tiny")).eval().requires_grad_(False)
    z = torch.randn(3, 3, 8, 8)
    times, labels = torch.tensor([10, 500, 500]), torch.tensor([1, 1, NULL_CLASS])
    eps = model(z, times, labels)
    assert eps.shape == z.shape
    singles = torch.cat([model(z[i : i + 1], times[i : i + 1], labels[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(eps, singles, rtol=1e-4, atol=1e-5)
    for other in (model(z + 0.1, times, labels), model(z, times + 300, labels), model(z, times, labels - 1)):
        assert ((other - eps).abs().amax(dim=(1, 2, 3)) > 1e-5).all()


def test_a_mixture_of_contexts_lies_between_them_and_one_alone_is_its_own_to_the_bit():
    torch.manual_seed(0)
    model = build_denoiser(config_of("tiny")).eval().requires_grad_(False)
    alone = model.context(torch.tensor([1, 3]))
    weights = torch.zeros(3, 8)
    weights[0, 1] = weights[1, 3] = 1
    weights[2, 1], weights[2, 3] = 0.25, 0.75
    mixed = model.mixed_context(weights)
    assert torch.equal(mixed[:2], alone)
    torch.testing.assert_close(mixed[2], 0.25 * alone[0] + 0.75 * alone[1])
    z, times = torch.randn(2, 3, 8, 8), torch.tensor([10, 500])
    assert torch.equal(model.predict(z, times, alone), model(z, times, torch.tensor([1, 3])))
