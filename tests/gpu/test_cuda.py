"""What runs on a GPU does what it does on the CPU. ``FACEDIFF_TEST_DEVICE`` names another device than CUDA."""

import json
import os

import numpy as np
import pytest
import torch
from support.talking import make_clips
from support.tiny_model import tiny_config, train_tiny_model
from support.tiny_talker import tiny_talking_model, write_tiny_talker

from stages.classifier.run import CLASSIFIER
from stages.common.audio_features import AudioConfig, AudioEncoder
from stages.common.editor import load_editor
from stages.common.engine import execute
from stages.common.errors import Interrupted
from stages.common.manifest import find_problems, load_artifact
from stages.common.media.sound import encode_wav
from stages.common.model_input import as_model_input
from stages.common.talking import FrameConditions, load_talking_model, synthesize_frames
from stages.emotion.run import EMOTION
from stages.finetune.run import FINETUNE
from stages.finetune_lipread.run import FINETUNE_LIPREAD
from stages.ldm.run import LDM
from stages.lipreader.run import LIPREADER
from stages.models.resampler import decode_in_pieces
from stages.models.samplers import SampleNoise
from stages.synthesize.config import SynthesizeConfig
from stages.synthesize.run import synthesize_stage
from stages.talk_training.run import TALK_TRAINING
from stages.vqgan.run import VQGAN

pytestmark = pytest.mark.gpu

DEVICE = os.environ.get("FACEDIFF_TEST_DEVICE", "cuda")
PICTURES = (VQGAN, EMOTION, LDM, CLASSIFIER, FINETUNE)
CLIPS = (TALK_TRAINING, LIPREADER, FINETUNE_LIPREAD)
PRECISIONS = ("fp32", "bf16", *(["fp16"] if DEVICE == "cuda" else []))


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))
    # Products of float32 are what they say, so that devices can be compared.
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "tiny-model"
    train_tiny_model(folder)
    return folder


@pytest.fixture(scope="session")
def inputs_of(folder, tmp_path_factory):
    """The inputs of a training by its name, made on the CPU."""
    root = tmp_path_factory.mktemp("gpu-clips")
    clips = make_clips(root / "clips")
    reader = execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, root / "reader")
    first_stage = execute(VQGAN, tiny_config(VQGAN), {"clips": clips}, root / "vqgan")
    talker = load_artifact(write_tiny_talker(root / "talker"))
    of_clips = {"data": clips, "first_stage": first_stage, "model": talker, "reader": reader}
    of_pictures = {
        role: folder / name for role, name in (("data", "shards"), ("first_stage", "vqgan"), ("model", "tiny"))
    }

    def make(spec):
        known = {**spec.inputs, **spec.optional_inputs}
        if spec in CLIPS:
            return {role: artifact for role, artifact in of_clips.items() if role in spec.inputs}
        return {role: load_artifact(path) for role, path in of_pictures.items() if role in known}

    return make


def editors(folder):
    return [load_editor(folder / "tiny", device) for device in ("cpu", DEVICE)]


def test_an_edit_is_that_of_the_cpu(folder):
    faces = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    source, target = torch.tensor([0, 0]), torch.tensor([1, 2])
    latents = []
    for editor in editors(folder):
        z = editor.encode(faces)
        how = {"strength": 400, "steps": 4, "guidance_scale": torch.full((2,), 3.0)}
        latents.append(editor.resample(editor.invert(z, source, **how), target, **how).cpu())
        batch = editor.edit(faces, source, target, **how)
        assert batch.edited.device.type == "cpu"
        assert batch.edited.isfinite().all()
    # Latents, as pictures jump where a latent is between two codes.
    torch.testing.assert_close(*latents, rtol=1e-2, atol=1e-2)


def test_classes_are_those_of_the_cpu(folder):
    faces = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(*(editor.classify(faces).cpu() for editor in editors(folder)), rtol=1e-3, atol=1e-4)


def test_noise_is_that_of_the_cpu():
    cpu, there = (SampleNoise(3, [0, 7], (3, 8, 8), device)() for device in ("cpu", DEVICE))
    assert there.device.type == torch.device(DEVICE).type
    assert torch.equal(cpu, there.cpu())


@pytest.mark.parametrize("sampler", ["ddim", "ddpm", "plms", "dpmpp-2m", "unipc"])
def test_faces_are_synthesized_in_batches(folder, tmp_path, sampler):
    config = SynthesizeConfig(emotions=("happy", "sad"), count=3, steps=4, guidance=2.0, sampler=sampler)
    inputs = as_model_input(load_artifact(folder / "tiny"))
    made = execute(synthesize_stage(4), config, inputs, tmp_path / "out", device=DEVICE)
    assert find_problems(made) == []
    assert made.manifest.counts.ok == 6


@pytest.mark.parametrize("spec", [*PICTURES, *CLIPS], ids=lambda spec: spec.name)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_trainings_run_in_every_precision(inputs_of, tmp_path, spec, precision):
    config = tiny_config(spec, f"loop.precision={precision}")
    made = execute(spec, config, inputs_of(spec), tmp_path / "out", device=DEVICE)
    assert find_problems(made) == []
    history = json.loads(made.path("history.json").read_text())
    assert history[-1]["step"] == config.loop.steps
    assert all(np.isfinite(value) for row in history for value in row.values())


@pytest.mark.parametrize("spec", [LDM, TALK_TRAINING, FINETUNE_LIPREAD], ids=lambda spec: spec.name)
def test_the_first_step_is_that_of_the_cpu(inputs_of, tmp_path, spec):
    config = tiny_config(spec, "loop.steps=1", "loop.validate_every=1", "loop.learning_rate=1e-5")
    rows = []
    for device in ("cpu", DEVICE):
        made = execute(spec, config, inputs_of(spec), tmp_path / device, device=device)
        rows.append(json.loads(made.path("history.json").read_text())[-1])
    assert rows[1] == pytest.approx(rows[0], rel=5e-2, abs=1e-2)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_stopped_training_goes_on(inputs_of, tmp_path, precision):
    config = tiny_config(LDM, f"loop.precision={precision}")
    asked = iter([False] * 4)
    with pytest.raises(Interrupted):
        execute(
            LDM,
            config,
            inputs_of(LDM),
            tmp_path / "out",
            device=DEVICE,
            should_stop=lambda: next(asked, True),
        )
    made = execute(LDM, config, inputs_of(LDM), tmp_path / "out", device=DEVICE)
    assert json.loads(made.path("history.json").read_text())[-1]["step"] == config.loop.steps


def test_frames_of_a_talker_are_those_of_the_cpu(tmp_path):
    root = write_tiny_talker(tmp_path / "talker")
    random = torch.Generator().manual_seed(0)
    identity, masked, noise = torch.randn(3, 2, 3, 8, 8, generator=random)
    sound = torch.randn(2, 5, 80, generator=random)
    frames = []
    for device in ("cpu", DEVICE):
        model = load_talking_model(root, device)
        context = model.talker.context(sound.to(device), torch.tensor([1, 2], device=device), None)
        given = FrameConditions(identity.to(device), masked.to(device), context)
        start = [noise.to(device)]
        frames.append(synthesize_frames(model.talker, model.process, given, start.pop, steps=4).cpu())
    torch.testing.assert_close(*frames, rtol=1e-2, atol=1e-2)


def test_sound_is_heard_as_on_the_cpu():
    sound = np.sin(np.arange(16_000) / 20).astype(np.float32) * 0.3
    assert len(encode_wav(sound)) > 0
    cpu, there = (AudioEncoder(AudioConfig(), device).features(sound, 25) for device in ("cpu", DEVICE))
    np.testing.assert_allclose(cpu, there, rtol=1e-3, atol=1e-3)


@pytest.mark.skipif(DEVICE != "cuda", reason="counts the memory of CUDA")
def test_decoding_in_pieces_takes_less_memory():
    model = tiny_talking_model()
    first_stage = model.first_stage.to(DEVICE)
    z = torch.randn(64, *model.latent_shape, device=DEVICE, requires_grad=True)
    peaks = []
    for decode in (first_stage.decode, lambda z: decode_in_pieces(first_stage.decode, z, 4)):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        decode(z).square().mean().backward()
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 0.5 * peaks[0]
