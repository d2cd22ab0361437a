"""Exports compute what the model computes."""

import pytest
import torch
from diffusers import UNet2DConditionModel, VQModel
from safetensors.torch import load_file

from stages.common.checkpoint import ModelInfo, load_denoiser, load_first_stage, save_denoiser, save_first_stage
from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError
from stages.common.lip_reader_checkpoint import load_lip_reader, save_lip_reader
from stages.common.manifest import ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, StageSpec
from stages.common.talker_checkpoint import TalkerInfo, load_talker, load_talker_info, save_talker
from stages.export import onnx_files
from stages.export import run as export_run
from stages.export.config import ExportConfig
from stages.export.run import export_spec
from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.first_stage import FirstStageConfig, build_first_stage
from stages.models.lip_reader import LipReader, LipReaderConfig
from stages.models.schedule import ScheduleConfig
from stages.models.talker import TalkerConfig, build_talker
from stages.models.unet import UNetConfig

FIRST_STAGE = FirstStageConfig(
    size_px=16,
    pixel_fold=2,
    latent_fold=2,
    block_out_channels=(8, 16),
    layers_per_block=1,
    codebook_size=30,
    norm_num_groups=4,
)
DENOISER = DenoiserConfig(
    latent_size=2,
    latent_channels=12,
    block_out_channels=(8, 16),
    attention_levels=(False, True),
    layers_per_block=1,
    channels_per_head=8,
    context_dim=12,
    norm_num_groups=4,
)


def write_networks(_config, _inputs, context):
    torch.manual_seed(context.seed)
    save_first_stage(build_first_stage(FIRST_STAGE), context.out)
    save_denoiser(
        build_denoiser(DENOISER), ScheduleConfig(), ModelInfo(supported=("happy",), samples={"happy": 3}), context.out
    )
    return ArtifactDraft(Counts())


@pytest.fixture
def model(toy, tmp_path):
    spec = StageSpec("toy", 1, type(toy.config), toy.spec.inputs, ArtifactKind.LATENT_DIFFUSION, write_networks)
    return execute(spec, toy.config, toy.inputs, tmp_path / "model")


@pytest.fixture
def export(model, tmp_path):
    def run(**settings):
        config = ExportConfig(**settings)
        return execute(export_spec(config, model.manifest.kind), config, {"model": model}, tmp_path / "export")

    return run


@torch.no_grad()
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0.0), ("float16", 1e-2)])
def test_safetensors_open_in_diffusers(model, export, dtype, tolerance):
    artifact = export(dtype=dtype)
    weights = load_file(artifact.root / "unet" / "diffusion_pytorch_model.safetensors")
    assert {value.dtype for value in weights.values()} == {getattr(torch, dtype)}
    z, timesteps, context = torch.randn(1, 12, 2, 2), torch.tensor([9]), torch.randn(1, 1, 12)
    unet = UNet2DConditionModel.from_pretrained(artifact.root / "unet")
    expected = load_denoiser(model.root).unet(z, timesteps, context).sample
    assert (unet(z, timesteps, context).sample - expected).abs().max() <= tolerance
    assert VQModel.from_pretrained(artifact.root / "vqvae").config.num_vq_embeddings == 30
    assert artifact.manifest.kind is ArtifactKind.LATENT_DIFFUSION
    assert load_first_stage(artifact.root).config == FIRST_STAGE


@torch.no_grad()
def test_onnx_computes_what_torch_computes(model, export):
    onnxruntime = pytest.importorskip("onnxruntime")
    artifact = export(format="onnx")
    assert artifact.manifest.kind is ArtifactKind.ONNX
    assert set(artifact.manifest.metrics["max_abs_difference"]) == {"decoder", "denoiser"}
    session = onnxruntime.InferenceSession(artifact.root / "denoiser.onnx", providers=["CPUExecutionProvider"])
    inputs = {
        "latents": torch.randn(5, 12, 2, 2),
        "timesteps": torch.tensor([0, 1, 500, 998, 999]),
        "labels": torch.tensor([8, 0, 3, 7, 1]),
    }
    (eps,) = session.run(["eps"], {name: value.numpy() for name, value in inputs.items()})
    assert (torch.from_numpy(eps) - load_denoiser(model.root)(*inputs.values())).abs().max() < 1e-4
    session = onnxruntime.InferenceSession(artifact.root / "decoder.onnx", providers=["CPUExecutionProvider"])
    (pictures,) = session.run(["pictures"], {"latents": inputs["latents"].numpy()})
    assert (torch.from_numpy(pictures) - load_first_stage(model.root).decode(inputs["latents"])).abs().max() < 1e-4


def test_a_file_that_differs_is_not_let_out(export, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(export_run, "check_denoiser", lambda *_: float("nan"))
    with pytest.raises(BadInputError, match="denoiser in ONNX differs from torch by nan"):
        export(format="onnx")
    assert not list(tmp_path.glob("export*"))
    with pytest.raises(BadInputError, match="decoder in ONNX differs from torch by"):
        export(format="onnx", tolerance=1e-12)


def test_the_check_sees_another_network(model, tmp_path):
    pytest.importorskip("onnxruntime")
    first_stage, path = load_first_stage(model.root), tmp_path / "decoder.onnx"
    onnx_files.write_decoder(first_stage, path)
    first_stage.vq.decoder.conv_out.bias.add_(0.5)
    assert onnx_files.check_decoder(first_stage, path) == pytest.approx(0.5, abs=1e-3)


def test_decoder_is_checked_on_latents_with_a_clear_nearest_code(model):
    first_stage = load_first_stage(model.root)
    latents = onnx_files.decoder_inputs(first_stage, 3)["latents"]
    assert latents.shape == (3, 12, 2, 2)
    features = torch.nn.functional.pixel_shuffle(latents, 2)
    flat = features.permute(0, 2, 3, 1).reshape(-1, 3)
    nearest, second = torch.cdist(flat, first_stage.vq.quantize.embedding.weight).topk(2, largest=False).values.T
    assert (nearest > 0).all()
    assert (nearest < 0.2 * second).all()


def test_weights_beyond_half_precision_are_refused(model, tmp_path):
    denoiser = load_denoiser(model.root)
    denoiser.emotion_embedding.weight[0, 0] = 1e6
    save_denoiser(denoiser, ScheduleConfig(), ModelInfo(supported=(), samples={}), model.root)
    config = ExportConfig(dtype="float16")
    with pytest.raises(BadInputError, match=r"emotion_embedding\.weight does not fit in torch\.float16"):
        execute(export_spec(config, model.manifest.kind), config, {"model": model}, tmp_path / "export")
    assert not list(tmp_path.glob("export*"))


def test_without_the_packages_the_extra_is_named(export, monkeypatch):
    monkeypatch.setattr(onnx_files.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigError, match=r"needs onnx and onnxruntime\. Install facediff\[export\]"):
        export(format="onnx")


def test_onnx_in_half_precision_is_refused():
    with pytest.raises(ValueError, match="onnx is written in float32"):
        ExportConfig(format="onnx", dtype="float16")


def write_talker(_config, _inputs, context):
    sizes = DENOISER.model_dump(include=set(UNetConfig.model_fields))
    save_first_stage(build_first_stage(FIRST_STAGE), context.out)
    save_talker(
        build_talker(TalkerConfig(**sizes, audio="mel", window=1)), ScheduleConfig(), TalkerInfo(fps=25), context.out
    )
    return ArtifactDraft(Counts())


def write_lip_reader(_config, _inputs, context):
    sizes = {"trunk_channels": (2, 3, 4, 5), "dim": 8, "heads": 2, "feedforward_dim": 12, "kernel_size": 3}
    layers = {"encoder_layers": 1, "decoder_layers": 1}
    save_lip_reader(LipReader(LipReaderConfig(units=("a", "b"), **sizes, **layers)), context.out)
    return ArtifactDraft(Counts())


def test_a_lip_reader_stays_one_in_half_precision(toy, tmp_path):
    spec = StageSpec("toy", 1, type(toy.config), toy.spec.inputs, ArtifactKind.LIP_READER, write_lip_reader)
    model = execute(spec, toy.config, toy.inputs, tmp_path / "reader")
    config = ExportConfig(dtype="float16")
    artifact = execute(export_spec(config, ArtifactKind.LIP_READER), config, {"model": model}, tmp_path / "export")
    assert artifact.manifest.kind is ArtifactKind.LIP_READER
    stored = load_file(artifact.path("lip_reader.safetensors")).values()
    assert {value.dtype for value in stored if value.is_floating_point()} == {torch.float16}
    before, after = (load_lip_reader(a.root).state_dict() for a in (model, artifact))
    assert all(torch.allclose(before[name], after[name], rtol=1e-3, atol=1e-3) for name in before)


def test_a_talker_stays_one_in_half_precision(toy, tmp_path):
    spec = StageSpec("toy", 1, type(toy.config), toy.spec.inputs, ArtifactKind.TALKER, write_talker)
    model = execute(spec, toy.config, toy.inputs, tmp_path / "talker")
    config = ExportConfig(dtype="float16")
    artifact = execute(export_spec(config, ArtifactKind.TALKER), config, {"model": model}, tmp_path / "export")
    assert artifact.manifest.kind is ArtifactKind.TALKER
    for name in ("unet/diffusion_pytorch_model.safetensors", "conditioning.safetensors"):
        assert {value.dtype for value in load_file(artifact.path(name)).values()} == {torch.float16}
    before, after = (load_talker(a.root).state_dict() for a in (model, artifact))
    assert all(torch.allclose(before[name], after[name], rtol=1e-3, atol=1e-3) for name in before)
    assert load_first_stage(artifact.root).config == FIRST_STAGE
    assert load_talker_info(artifact.root).fps == 25
