"""What we write is what diffusers reads, and what is damaged is refused."""

import shutil

import pytest
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel, VQModel

from stages.common.checkpoint import (
    ModelInfo,
    load_denoiser,
    load_emotion_classifier,
    load_first_stage,
    load_model_info,
    load_schedule_config,
    load_scheduler,
    save_denoiser,
    save_emotion_classifier,
    save_first_stage,
)
from stages.common.config import load_config_file
from stages.common.errors import MissingModelError
from stages.models.denoiser import DenoiserConfig, build_denoiser
from stages.models.emotion_classifier import EmotionClassifier, EmotionClassifierConfig
from stages.models.first_stage import FirstStageConfig, build_first_stage
from stages.models.schedule import ScheduleConfig

INFO = ModelInfo(
    supported=("neutral", "happy"), samples={"neutral": 3, "happy": 2}, recommended_guidance={"happy": 2.5}
)
FILES = {
    "first_stage.json",
    "vqvae/config.json",
    "vqvae/diffusion_pytorch_model.safetensors",
    "denoiser.json",
    "model.json",
    "emotion_embedding.safetensors",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
    "scheduler/scheduler_config.json",
    "emotion_classifier/config.json",
    "emotion_classifier/model.safetensors",
}


class Networks:
    def __init__(self):
        torch.manual_seed(0)
        preset = load_config_file("tiny")
        self.first_stage = (
            build_first_stage(FirstStageConfig(**preset["vqgan"]["network"])).eval().requires_grad_(False)
        )
        self.first_stage.vq.register_to_config(scaling_factor=1.75)
        self.denoiser = build_denoiser(DenoiserConfig(**preset["ldm"]["network"])).eval().requires_grad_(False)
        self.classifier = EmotionClassifier(EmotionClassifierConfig(**preset["emotion"]["network"])).eval()

    def save(self, root):
        # Training keeps its networks in this memory layout.
        self.first_stage.to(memory_format=torch.channels_last)
        save_first_stage(self.first_stage, root)
        save_denoiser(self.denoiser.to(memory_format=torch.channels_last), ScheduleConfig(), INFO, root)
        save_emotion_classifier(self.classifier.to(memory_format=torch.channels_last), root)


@pytest.fixture(scope="module")
def networks():
    return Networks()


@pytest.fixture(scope="module")
def root(networks, tmp_path_factory):
    root = tmp_path_factory.mktemp("model")
    networks.save(root)
    return root


def load_all(root):
    classifier = load_emotion_classifier(root)
    assert classifier is not None
    load_model_info(root)
    load_scheduler(root)
    return load_first_stage(root), load_denoiser(root), classifier


def assert_equal_weights(found, expected):
    found, expected = found.state_dict(), expected.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_layout_is_exactly_this(root):
    assert {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} == FILES


def test_diffusers_unet_gives_the_same_noise_estimate(root, networks):
    unet = UNet2DConditionModel.from_pretrained(root / "unet").eval()
    z, times, labels = torch.randn(2, 3, 8, 8), torch.tensor([10, 700]), torch.tensor([1, 8])
    context = networks.denoiser.emotion_embedding(labels)[:, None]
    with torch.no_grad():
        theirs = unet(z, times, encoder_hidden_states=context).sample
    torch.testing.assert_close(theirs, networks.denoiser(z, times, labels), rtol=1e-4, atol=1e-5)


def test_diffusers_vqmodel_gives_the_same_reconstruction(root, networks):
    vq = VQModel.from_pretrained(root / "vqvae").eval()
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        theirs = vq(torch.nn.functional.pixel_unshuffle(x, 2)).sample
    ours = networks.first_stage(x).pictures
    torch.testing.assert_close(torch.nn.functional.pixel_shuffle(theirs, 2), ours, rtol=1e-4, atol=1e-5)
    assert vq.config.scaling_factor == 1.75


def test_diffusers_scheduler_has_the_same_schedule(root):
    scheduler = DDIMScheduler.from_pretrained(root / "scheduler")
    assert torch.equal(scheduler.alphas_cumprod, load_scheduler(root).alphas_cumprod)
    config = scheduler.config
    assert (config.beta_schedule, config.beta_start, config.beta_end) == ("scaled_linear", 0.0015, 0.0205)
    assert (config.prediction_type, config.clip_sample) == ("epsilon", False)
    assert load_schedule_config(root) == ScheduleConfig()


def test_loading_gives_back_every_bit_and_setting(root, networks):
    first_stage, denoiser, classifier = load_all(root)
    for found, expected in (
        (first_stage, networks.first_stage),
        (denoiser, networks.denoiser),
        (classifier, networks.classifier),
    ):
        assert_equal_weights(found, expected)
        assert found.config == expected.config
        assert not found.training
        assert not any(p.requires_grad for p in found.parameters())
    assert first_stage.scaling_factor == 1.75
    assert load_model_info(root) == INFO


def test_saving_what_was_loaded_gives_the_same_bytes_wherever_it_lay(root, tmp_path):
    """The id of a model that contains another must not depend on the folder from which that was read."""
    first_stage, denoiser, classifier = load_all(root)
    save_first_stage(first_stage, tmp_path)
    save_denoiser(denoiser, load_schedule_config(root), load_model_info(root), tmp_path)
    save_emotion_classifier(classifier, tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes(), name
        assert str(root).encode() not in (tmp_path / name).read_bytes(), name


def test_half_precision_is_half_the_size_and_loads_in_single(root, networks, tmp_path):
    halved = Networks()
    halved.first_stage.half()
    halved.denoiser.half()
    halved.classifier.half()
    halved.save(tmp_path)
    for found, expected in zip(
        load_all(tmp_path), (networks.first_stage, networks.denoiser, networks.classifier), strict=True
    ):
        for a, b in zip(found.parameters(), expected.parameters(), strict=True):
            assert a.dtype is torch.float32
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-6)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / weights).stat().st_size < 0.6 * (root / weights).stat().st_size


def test_a_model_without_a_classifier_is_a_model(root, tmp_path):
    shutil.copytree(root, tmp_path / "model")
    shutil.rmtree(tmp_path / "model" / "emotion_classifier")
    assert load_emotion_classifier(tmp_path / "model") is None


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("damage", ["missing", "truncated", "empty"])
def test_a_damaged_file_is_a_missing_model(root, tmp_path, name, damage):
    copy = tmp_path / "model"
    shutil.copytree(root, copy)
    path = copy / name
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"")
    with pytest.raises(MissingModelError, match=r"missing or (damaged|wrong)") as refused:
        load_all(copy)
    assert refused.value.exit_code == 6


def test_weights_of_another_network_are_refused(root, tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(root, copy)
    weights = "diffusion_pytorch_model.safetensors"
    shutil.copy(copy / "unet" / weights, copy / "vqvae" / weights)
    with pytest.raises(MissingModelError, match="vqvae is missing or damaged"):
        load_first_stage(copy)
