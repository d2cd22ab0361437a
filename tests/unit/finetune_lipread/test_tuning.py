"""Tuning a talking face by a lip reader, on tiny networks."""

import numpy as np
import pytest
import torch
from support.talking import make_clips
from support.tiny_model import tiny_config
from support.tiny_talker import write_tiny_talker

from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.manifest import find_problems, load_artifact
from stages.common.talker_checkpoint import load_talker
from stages.common.talking import load_talking_model
from stages.finetune_lipread import run as stage
from stages.finetune_lipread.network import FrameMaker
from stages.finetune_lipread.run import FINETUNE_LIPREAD
from stages.lipreader.run import LIPREADER


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    root = tmp_path_factory.mktemp("lipread")
    clips = make_clips(root / "clips")
    reader = execute(LIPREADER, tiny_config(LIPREADER), {"data": clips}, root / "reader")
    return {"data": clips, "model": load_artifact(write_tiny_talker(root / "talker")), "reader": reader}


@pytest.fixture
def tuner_of(inputs, tmp_path, monkeypatch):
    """The trainer that a run makes, before its first step."""

    def make(*overrides):
        made = []
        with monkeypatch.context() as patch:
            patch.setattr(stage, "fit", lambda trainee, *_: made.append(trainee) or {})
            execute(FINETUNE_LIPREAD, tiny_config(FINETUNE_LIPREAD, *overrides), inputs, tmp_path / "out")
        return made[0]

    return make


def weights(root):
    return load_talker(root).state_dict()


def test_a_low_rank_update_comes_out_as_a_whole_model(inputs, tmp_path):
    tuned = execute(FINETUNE_LIPREAD, tiny_config(FINETUNE_LIPREAD), inputs, tmp_path / "tuned")
    assert find_problems(tuned) == []
    load_talking_model(tuned.root)
    before, after = weights(inputs["model"].root), weights(tuned.root)
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("to_q" in name or "conv1" in name for name in changed)
    assert {"val_loss", "val_lips", "val_latent", "tuned_parameters"} <= tuned.manifest.metrics.keys()


def test_all_weights_of_the_talker_can_be_tuned(tuner_of):
    full = tuner_of("lora=null")
    assert len(full.tuned.by_name) == len(list(full.model.talker.parameters()))
    assert not any(p.requires_grad for p in full.model.first_stage.parameters())


def test_a_step_follows_the_reader(tuner_of):
    tuner = tuner_of("lora=null", "latent_weight=0", "steps=2")
    draws = tuner._held_out()[0]
    losses = []
    for _ in range(12):
        loss, shown = tuner._loss(draws, level=600)
        loss.backward()
        losses.append(float(shown["lips"].detach()))
        torch.nn.utils.clip_grad_norm_(tuner.tuned.by_name.values(), 1.0)
        tuner.tuned.optimizer.step()
        tuner.tuned.optimizer.zero_grad()
    assert losses[-1] < losses[0]


def test_frames_that_are_the_real_ones_have_no_distance(tuner_of):
    tuner = tuner_of()
    draws = tuner._held_out()[0]
    assert float(tuner._lip_distance(draws["x"], draws["x"], draws["landmarks"])) == pytest.approx(0, abs=5e-7)
    # A reader of random weights tells mouths apart all the same.
    assert float(tuner._lip_distance(-draws["x"], draws["x"], draws["landmarks"])) > 2e-6


def test_frames_are_made_again_from_their_own_noise(tuner_of):
    tuner = tuner_of()
    draws = tuner._held_out()[0]
    z0, made = FrameMaker(tuner.model, 1)(draws, 1)
    # The first level is all but clean, and one step of it changes next to nothing.
    assert z0.shape == made.shape
    assert torch.allclose(z0, made, atol=0.2)


def test_windows_are_consecutive_frames_with_their_sound(tuner_of, inputs):
    windows = tuner_of().train_data
    draws = windows.batch(np.array([0]), np.random.default_rng(3))
    clip = int(windows.long_enough[0])
    frames = torch.from_numpy(windows.clips.frames(clip)).permute(0, 3, 1, 2) / 127.5 - 1
    starts = [s for s in range(3) if torch.allclose(frames[s : s + 3].float(), draws["x"][0], atol=1e-6)]
    assert len(starts) == 1
    assert torch.equal(
        draws["landmarks"][0], torch.from_numpy(windows.clips.landmarks(clip))[starts[0] : starts[0] + 3]
    )
    # The row in the middle of a window of sound is the frame's own.
    assert torch.equal(draws["audio"][0, 0, 3], draws["audio"][0, 1, 2])


def test_clips_that_are_too_short_or_of_another_rate_are_refused(inputs, tmp_path):
    with pytest.raises(BadInputError, match="no clip has 9 frames"):
        execute(FINETUNE_LIPREAD, tiny_config(FINETUNE_LIPREAD, "frames=9"), inputs, tmp_path / "long")
    fast = inputs | {"data": make_clips(tmp_path / "fast", fps=50.0)}
    with pytest.raises(BadInputError, match=r"50 frames a second, the model 25"):
        execute(FINETUNE_LIPREAD, tiny_config(FINETUNE_LIPREAD), fast, tmp_path / "fast-tuned")
