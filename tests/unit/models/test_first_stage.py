"""The first stage: the thesis's size, shapes with folds, the latent scale and the codebook."""

import pytest
import torch
import torch.nn.functional as F

from stages.common.config import load_config_file
from stages.models.first_stage import FirstStageConfig, build_first_stage

SMALL = {
    "size_px": 16,
    "block_out_channels": (8, 8),
    "layers_per_block": 1,
    "attention": False,
    "codebook_size": 16,
    "norm_num_groups": 4,
}


def build(**changes):
    torch.manual_seed(0)
    return build_first_stage(FirstStageConfig(**SMALL | changes)).eval().requires_grad_(False)


def pictures(count=2, size_px=16):
    return torch.rand(count, 3, size_px, size_px, generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_thesis_network_has_its_published_size():
    config = FirstStageConfig(**load_config_file("affectnet-128")["vqgan"]["network"])
    with torch.device("meta"):
        model = build_first_stage(config)
    assert sum(p.numel() for p in model.parameters()) == 60_605_598
    assert (config.latent_size, config.folded_latent_channels, config.downsampling) == (32, 3, 4)
    assert config == FirstStageConfig()


@pytest.mark.parametrize("pixel_fold", [1, 2])
@pytest.mark.parametrize("latent_fold", [1, 2])
def test_latents_have_the_promised_shape_and_decode_to_the_pictures(pixel_fold, latent_fold):
    model = build(pixel_fold=pixel_fold, latent_fold=latent_fold)
    z = model.encode(pictures())
    assert z.shape == (2, 3 * latent_fold**2, 8 // pixel_fold // latent_fold, 8 // pixel_fold // latent_fold)
    assert z.shape[1:3] == (model.config.folded_latent_channels, model.config.latent_size)
    assert model.decode(z).shape == (2, 3, 16, 16)


def test_folding_latents_moves_numbers_and_changes_none():
    folded, plain = build(latent_fold=2), build(latent_fold=1)
    torch.testing.assert_close(F.pixel_shuffle(folded.encode(pictures()), 2), plain.encode(pictures()))
    torch.testing.assert_close(folded.decode(folded.encode(pictures())), plain.decode(plain.encode(pictures())))


def test_the_latent_scale_multiplies_latents_and_leaves_pictures_alone():
    model = build()
    z, decoded = model.encode(pictures()), model.decode(model.encode(pictures()))
    model.vq.register_to_config(scaling_factor=4.0)
    torch.testing.assert_close(model.encode(pictures()), 4 * z)
    torch.testing.assert_close(model.decode(4 * z), decoded)
    assert model.scaling_factor == 4.0


def test_decoding_latents_is_what_training_reconstructs():
    model = build()
    torch.testing.assert_close(model.decode(model.encode(pictures())), model(pictures()).pictures)


def test_decoding_takes_the_nearest_code():
    model = build()
    model.set_codebook(torch.arange(16.0)[:, None].expand(16, 3))
    z = torch.randint(16, (1, 1, 8, 8), generator=torch.Generator().manual_seed(2)).float().expand(1, 3, 8, 8)
    torch.testing.assert_close(model.decode(z + 0.3), model.decode(z))
    torch.testing.assert_close(model.decode(z), model.decode_features(z))


def test_reconstruction_reports_codes_and_a_loss_and_the_warm_up_neither():
    model = build()
    quantized = model(pictures())
    assert quantized.codes.shape == (2 * 8 * 8,)
    assert 0 <= quantized.codes.min() <= quantized.codes.max() < 16
    assert quantized.commitment > 0
    continuous = model(pictures(), quantize=False)
    assert continuous.codes.numel() == 0
    assert continuous.commitment == continuous.codebook == 0
    assert not torch.allclose(continuous.pictures, quantized.pictures)


def test_gradients_pass_the_quantiser_to_encoder_and_codebook():
    model = build().requires_grad_(True)
    result = model(pictures())
    (result.pictures.square().mean() + result.commitment + result.codebook).backward()
    for parameter in (model.vq.encoder.conv_in.weight, model.vq.quantize.embedding.weight):
        assert parameter.grad is not None
        assert parameter.grad.abs().max() > 0


def test_the_halves_of_the_quantisation_loss_pull_the_encoder_and_the_codebook():
    model = build().requires_grad_(True)
    encoder, codebook = model.vq.encoder.conv_in.weight, model.vq.quantize.embedding.weight
    result = model(pictures())
    for half, pulled, still in ((result.commitment, encoder, codebook), (result.codebook, codebook, encoder)):
        gradients = torch.autograd.grad(half, (pulled, still), retain_graph=True, allow_unused=True)
        assert gradients[0].abs().max() > 0
        assert gradients[1] is None
    features = model.encode_features(pictures()).permute(0, 2, 3, 1).reshape(-1, 3)
    by_hand = (features[:, None] - codebook).square().sum(dim=2).min(dim=1).values.mean() / 3
    torch.testing.assert_close(result.commitment, by_hand)
    torch.testing.assert_close(result.codebook, by_hand)


def test_setting_and_reviving_codes_changes_exactly_those():
    model = build().requires_grad_(True)
    codes = torch.arange(48.0).view(16, 3)
    model.set_codebook(codes)
    model.revive(torch.tensor([3, 7]), torch.tensor([[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]))
    codes[3], codes[7] = torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-4.0, -5.0, -6.0])
    assert torch.equal(model.vq.quantize.embedding.weight, codes)
    assert model.vq.quantize.embedding.weight.requires_grad
