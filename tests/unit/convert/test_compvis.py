"""An imported checkpoint computes what the published code computed."""

import pytest
import torch
import yaml
from diffusers import UNet2DConditionModel, VQModel
from support.compvis import SIZE_PX, ldm_checkpoint, ldm_yaml, make_twin, vqgan_yaml

from stages.common.checkpoint import load_denoiser, load_first_stage, load_schedule_config
from stages.common.editor import load_editor
from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError
from stages.common.hashing import hash_file
from stages.common.manifest import ArtifactKind
from stages.convert.compvis_config import read_compvis_config
from stages.convert.run import convert_spec, describe_checkpoint
from stages.models.denoiser import DenoiserConfig
from stages.models.first_stage import FirstStageConfig
from stages.models.schedule import ScheduleConfig

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def raw():
    return make_twin(1)


@pytest.fixture(scope="module")
def averaged():
    return make_twin(2)


@pytest.fixture(scope="module")
def content(raw, averaged):
    return ldm_checkpoint(raw, averaged)


@pytest.fixture
def convert(tmp_path):
    """Import a checkpoint's content under a YAML's content."""

    def run(content, described, weights="auto"):
        checkpoint, config = tmp_path / "epoch=000025.ckpt", tmp_path / "project.yaml"
        torch.save(content, checkpoint)
        config.write_text(yaml.safe_dump(described))
        settings = read_compvis_config(config, weights)
        source = describe_checkpoint(checkpoint)
        return execute(convert_spec(settings), settings, {"checkpoint": source}, tmp_path / f"model-{weights}")

    return run


@pytest.mark.parametrize(("weights", "which"), [("auto", "averaged"), ("ema", "averaged"), ("raw", "raw")])
@torch.no_grad()
def test_the_denoiser_predicts_the_same_noise(convert, content, raw, request, weights, which):
    artifact = convert(content, ldm_yaml(), weights)
    z, timesteps, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 500, 999]), torch.tensor([0, 3, 7, 8])
    context = raw.cond_stage_model(labels)  # averages cover the U-Net alone
    expected = request.getfixturevalue(which).model.diffusion_model(z, timesteps, context)
    assert (load_denoiser(artifact.root)(z, timesteps, labels) - expected).abs().max() < TOLERANCE
    unet = UNet2DConditionModel.from_pretrained(artifact.root / "unet")
    assert (unet(z, timesteps, context).sample - expected).abs().max() < TOLERANCE
    assert artifact.manifest.kind is ArtifactKind.LATENT_DIFFUSION
    assert artifact.manifest.metrics == {"weights": "raw" if which == "raw" else "ema"}


@torch.no_grad()
def test_the_first_stage_gives_the_same_latents_and_pictures(convert, content, raw):
    artifact = convert(content, ldm_yaml())
    x, z = torch.rand(2, 3, SIZE_PX, SIZE_PX) * 2 - 1, torch.randn(2, 3, 8, 8)
    twin, ours = raw.first_stage_model, load_first_stage(artifact.root)
    assert (ours.encode(x) - twin.encode(x)).abs().max() < TOLERANCE
    assert (ours.decode(z) - twin.decode(z)).abs().max() < TOLERANCE
    theirs = VQModel.from_pretrained(artifact.root / "vqvae")
    assert (theirs(x).sample - twin.decode(twin.encode(x))).abs().max() < TOLERANCE


def test_an_import_is_a_model_that_edits(convert, content, tmp_path):
    artifact = convert(content, ldm_yaml())
    assert [i.id for i in artifact.manifest.inputs] == [hash_file(tmp_path / "epoch=000025.ckpt")]
    assert load_schedule_config(artifact.root) == ScheduleConfig()
    editor = load_editor(artifact.root)
    faces = torch.rand(1, 3, SIZE_PX, SIZE_PX) * 2 - 1
    batch = editor.edit(
        faces, torch.tensor([0]), torch.tensor([1]), strength=500, steps=2, guidance_scale=torch.tensor([3.0])
    )
    assert batch.edited.shape == faces.shape
    assert "happy" in editor.supported


@torch.no_grad()
def test_a_vqgan_alone_is_a_first_stage(convert, raw):
    state = {**raw.first_stage_model.state_dict(), "loss.discriminator.main.0.weight": torch.zeros(2)}
    artifact = convert({"state_dict": state}, vqgan_yaml())
    x = torch.rand(1, 3, SIZE_PX, SIZE_PX) * 2 - 1
    expected = raw.first_stage_model.decode(raw.first_stage_model.encode(x))
    assert (load_first_stage(artifact.root)(x).pictures - expected).abs().max() < TOLERANCE
    assert artifact.manifest.kind is ArtifactKind.FIRST_STAGE
    assert artifact.manifest.metrics == {"weights": "raw"}


@torch.no_grad()
def test_an_averaged_vqgan(convert, raw, averaged):
    ema = {"model_ema." + n.replace(".", ""): v for n, v in averaged.first_stage_model.state_dict().items()}
    artifact = convert({"state_dict": {**raw.first_stage_model.state_dict(), **ema}}, vqgan_yaml())
    x = torch.rand(1, 3, SIZE_PX, SIZE_PX) * 2 - 1
    assert (load_first_stage(artifact.root).encode(x) - averaged.first_stage_model.encode(x)).abs().max() < TOLERANCE


@torch.no_grad()
def test_latents_keep_the_scale_that_the_checkpoint_learned(convert, content, raw):
    scaled = {**content, "state_dict": {**content["state_dict"], "scale_factor": torch.tensor(0.5)}}
    ours, z = load_first_stage(convert(scaled, ldm_yaml()).root), torch.randn(1, 3, 8, 8)
    assert (ours.decode(z) - raw.first_stage_model.decode(z / 0.5)).abs().max() < TOLERANCE


def test_the_thesis_settings_are_our_defaults(tmp_path):
    published = ldm_yaml()
    params = published["model"]["params"]
    params["unet_config"]["params"] |= {
        "image_size": 32,
        "model_channels": 160,
        "attention_resolutions": [4, 2, 1],
        "channel_mult": [1, 2, 4],
        "num_head_channels": 32,
        "context_dim": 512,
    }
    params["first_stage_config"]["params"]["n_embed"] = 16384
    params["first_stage_config"]["params"]["ddconfig"] |= {
        "resolution": 128,
        "ch": 128,
        "ch_mult": [1, 2, 4],
        "num_res_blocks": 2,
        "attn_resolutions": [32],
    }
    params["cond_stage_config"]["params"]["embed_dim"] = 512
    path = tmp_path / "thesis.yaml"
    path.write_text(yaml.safe_dump(published))
    config = read_compvis_config(path)
    assert config.first_stage == FirstStageConfig()
    assert config.denoiser == DenoiserConfig()
    assert config.schedule == ScheduleConfig()
    assert config.scale_factor == 1
    published["model"]["target"] = "ldm.models.diffusion.latent_diffclip.LatentDiffusionCLIP"
    path.write_text(yaml.safe_dump(published))
    assert read_compvis_config(path) == config, "finetuning changes no network"


UNET = ("model", "params", "unet_config", "params")
FIRST_STAGE = ("model", "params", "first_stage_config")


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ((*UNET, "use_scale_shift_norm"), True, r"unet_config\.use_scale_shift_norm"),
        ((*UNET, "num_head_channels"), -1, r"unet_config\.num_head_channels"),
        ((*UNET, "surprise"), 1, r"unet_config\.surprise"),
        ((*UNET, "image_size"), 64, r"unet_config\.image_size is 64"),
        ((*FIRST_STAGE, "target"), "ldm.models.autoencoder.AutoencoderKL", "first stage is AutoencoderKL"),
        ((*FIRST_STAGE, "params", "ddconfig", "attn_resolutions"), [], "attn_resolutions must be"),
        ((*FIRST_STAGE, "params", "embed_dim"), 4, "embed_dim must equal z_channels"),
        (("model", "target"), "taming.models.cond_transformer.Net2NetTransformer", "describes Net2NetTransformer"),
        (("model", "params", "cond_stage_config", "params", "n_classes"), 1000, "n_classes"),
        (("model",), None, "model: "),
    ],
)
def test_settings_out_of_reach_are_named(tmp_path, place, value, told):
    described = ldm_yaml()
    inner = described
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(described))
    with pytest.raises(ConfigError, match=told):
        read_compvis_config(path)


def test_what_is_no_yaml_of_a_model_is_refused(tmp_path):
    for text, told in (("a: [", "not valid YAML"), ("data: {}", "no section 'model'"), ("- 1", "no section")):
        (tmp_path / "x.yaml").write_text(text)
        with pytest.raises(ConfigError, match=told):
            read_compvis_config(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        read_compvis_config(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"model.diffusion_model.out.2.bias": torch.zeros(4)},
            r"U-Net is not the one .* conv_out.bias is \(4,\), expected \(3,\)",
        ),
        ({"model.diffusion_model.label_emb.weight": torch.zeros(4)}, "U-Net has 365 arrays, of which 364 are known"),
        ({"cond_stage_model.uncond_embedding.weight": None}, "no cond_stage_model.uncond_embedding.weight"),
        ({"first_stage_model.quantize.embedding.weight": None}, "quantize.embedding.weight is missing"),
        (
            {"first_stage_model.encoder.conv_in.bias": None},
            r"first stage is not the one .* encoder.conv_in.bias is missing",
        ),
    ],
)
def test_a_checkpoint_of_another_network_is_refused(convert, content, change, told):
    state = {n: v for n, v in {**content["state_dict"], **change}.items() if v is not None}
    with pytest.raises(BadInputError, match=told) as refused:
        convert({"state_dict": state}, ldm_yaml(), "raw")
    assert "\n" not in str(refused.value)


def test_averages_that_are_not_there_are_missed(convert, raw):
    with pytest.raises(BadInputError, match=r"no averaged diffusion_model\..* --raw"):
        convert({"state_dict": raw.state_dict()}, ldm_yaml(), "ema")
