"""What the talker's training learns, weighs and refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from support.talking import make_clips
from support.tiny_model import tiny_config

from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError
from stages.common.manifest import Artifact, find_problems
from stages.common.talker_checkpoint import load_talker, load_talker_info
from stages.talk_training import run as stage
from stages.talk_training.run import TALK_TRAINING
from stages.talk_training.trainer import TalkTrainer
from stages.vqgan.run import VQGAN


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    root = tmp_path_factory.mktemp("talk")
    clips = make_clips(root / "clips")
    first_stage = execute(VQGAN, tiny_config(VQGAN), {"clips": clips}, root / "vqgan")
    return {"data": clips, "first_stage": first_stage}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))


def train(inputs: dict[str, Artifact], out: Path, *overrides: str) -> Artifact:
    return execute(TALK_TRAINING, tiny_config(TALK_TRAINING, *overrides), inputs, out)


def open_trainer(
    inputs: dict[str, Artifact], out: Path, monkeypatch: pytest.MonkeyPatch, *overrides: str
) -> TalkTrainer:
    """The trainer that a run makes, before its first step."""
    made: list[TalkTrainer] = []

    def stop(trainer: TalkTrainer, *_: Any) -> dict[str, float]:
        made.append(trainer)
        return {}

    monkeypatch.setattr(stage, "fit", stop)
    train(inputs, out, *overrides)
    trainer = made[0]
    trainer.talker.requires_grad_(True)
    return trainer


def test_a_run_writes_a_talker_with_its_first_stage(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    artifact = train(inputs, tmp_path / "talk")
    assert find_problems(artifact) == []
    assert load_talker(artifact.root).config == tiny_config(TALK_TRAINING).network
    assert load_talker_info(artifact.root).fps == 25
    metrics = artifact.manifest.metrics
    assert metrics["frames"] == 15
    assert {"val_loss", "val_lips", "val_masked_psnr_db"} <= set(metrics)
    vqvae = "vqvae/diffusion_pytorch_model.safetensors"
    assert artifact.path(vqvae).read_bytes() == inputs["first_stage"].path(vqvae).read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        [],
        ["network.audio=null", "lips_weight=0"],
        ["network.hearing=whole", "network.context_in_blocks=true", "network.emotion=false"],
        ["schedule.prediction_type=v_prediction", "schedule.rescale_betas_zero_snr=true", "min_snr_gamma=5"],
        ["schedule.prediction_type=sample", "unmasked_weight=0.1", "identity_noise=0.1"],
    ],
    ids=str,
)
def test_a_talker_overfits_a_few_clips(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    trainer = open_trainer(inputs, tmp_path / "talk", monkeypatch, "loop.batch_size=16", *settings)
    trainer.val_data = trainer.train_data
    before = trainer.validate()["val_loss"]
    for step in range(60):
        trainer.train_step(step, 5e-3, torch.Generator().manual_seed(step))
    assert trainer.validate()["val_loss"] < 0.9 * before


def test_without_weight_above_the_mask_its_error_does_not_count(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = open_trainer(inputs, tmp_path / "talk", monkeypatch, "unmasked_weight=0", "lips_weight=0")
    draws = trainer._noise(4, torch.Generator().manual_seed(0)) | trainer.read(0)
    draws["dropped"] = torch.zeros(4, dtype=torch.bool)
    top = int(draws["tops"].min() // trainer.first_stage.config.downsampling)
    losses = []
    for rows in (slice(0, top), slice(7, 8)):
        z0 = draws["z0"].clone()
        z0[:, :, rows] += 1
        # The noisy latents stay as they are, so that the target alone changes.
        noisy = trainer.process.add_noise(draws["z0"], draws["noise"], draws["timesteps"])
        monkeypatch.setattr(type(trainer.process), "add_noise", lambda *_, noisy=noisy: noisy)
        monkeypatch.setattr(type(trainer.process), "target", lambda _, z0, *__: z0)
        losses.append([trainer._loss(draws | {"z0": z})[0].item() for z in (draws["z0"], z0)])
    assert losses[0][0] == losses[0][1]
    assert losses[1][0] != losses[1][1]


def test_what_is_dropped_has_the_context_of_nothing(
    inputs: dict[str, Artifact], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = open_trainer(inputs, tmp_path / "talk", monkeypatch, "lips_weight=0")
    draws = trainer._noise(4, torch.Generator().manual_seed(0)) | trainer.read(0)
    losses = {}
    for dropped in (True, False):
        draws["dropped"] = torch.full((4,), dropped)
        losses[dropped] = [trainer._loss(draws | {"audio": draws["audio"] + shift})[0].item() for shift in (0.0, 3.0)]
    assert losses[True][0] == losses[True][1]
    assert losses[False][0] != losses[False][1]


def test_a_run_can_start_from_the_weights_of_another(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    first = train(inputs, tmp_path / "first", "loop.steps=1")
    again = inputs | {"init": first}
    second = train(again, tmp_path / "second", "loop.steps=1", "loop.learning_rate=1e-12")
    before, after = (load_talker(a.root).state_dict() for a in (first, second))
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in before)
    with pytest.raises(BadInputError, match=r"another network: window 2 there, 3 here"):
        train(again, tmp_path / "other", "network.window=3")


def test_a_first_stage_learns_from_clips_and_can_start_from_another(
    inputs: dict[str, Artifact], tmp_path: Path
) -> None:
    again = {"clips": inputs["data"], "init": inputs["first_stage"]}
    still = ["loop.steps=1", "loop.learning_rate=1e-12", "codebook_start=0", "adversarial_start=null"]
    second = execute(VQGAN, tiny_config(VQGAN, *still), again, tmp_path / "second")
    before, after = ((a.root / "vqvae/config.json").read_text() for a in (inputs["first_stage"], second))
    assert before == after, "the same weights give the same latent scale"
    with pytest.raises(BadInputError, match=r"another network: codebook_size 16 there, 32 here"):
        execute(VQGAN, tiny_config(VQGAN, "network.codebook_size=32"), again, tmp_path / "other")


@pytest.mark.parametrize(
    ("override", "message"),
    [("identity_frames=[3, 1]", "first and last"), ("network.audio=null", "lips_weight needs network.audio")],
)
def test_settings_that_contradict_one_another_are_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_config(TALK_TRAINING, override)


def test_other_latents_than_the_network_takes_are_bad_input(inputs: dict[str, Artifact], tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"3 channels at 8 px, the network takes 4"):
        train(inputs, tmp_path / "talk", "network.latent_channels=4")
