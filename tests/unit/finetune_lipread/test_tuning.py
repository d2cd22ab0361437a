"""Tuning a talking face by a lip reader, on tiny networks."""

import numpy as np
import pytest
import torch
from support.descents import descents_of, draws_of, unused_weights
from support.talking import make_clips
from support.tiny_model import tiny_config
from support.tiny_talker import write_tiny_talker

from stages.common.config import load_config_file
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.manifest import find_problems, load_artifact
from stages.common.talker_checkpoint import load_talker
from stages.common.talking import FrameConditions, load_talking_model, predict_frames
from stages.finetune_lipread import run as stage
from stages.finetune_lipread.network import FrameMaker
from stages.finetune_lipread.run import FINETUNE_LIPREAD
from stages.finetune_lipread.windows import ClipWindows
from stages.lipreader.run import LIPREADER
from stages.models.mouth_mask import mask_below, mask_top
from stages.models.samplers import ddim_sample, edit_timesteps


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
    every = {name for name, _ in full.model.talker.named_parameters()}
    assert every - full.tuned.by_name.keys() == {"conditioning.null.vector"}
    assert not any(p.requires_grad for p in full.model.first_stage.parameters())


def test_every_weight_that_is_tuned_is_part_of_every_loss(tuner_of):
    tuner = tuner_of("lora=null")
    (descent,) = descents_of(tuner)
    assert tuner.tuned.by_name
    assert unused_weights(descent.loss, tuner.network) == []


def test_a_step_follows_the_reader(tuner_of):
    tuner = tuner_of("lora=null", "latent_weight=0", "steps=2")
    draws = tuner._held_out()[0]
    losses = []
    for _ in range(12):
        loss, shown = tuner._loss(draws)
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


def two_windows(tuner):
    """Both training clips, each a window, with noise of very different levels."""
    draws = tuner.train_data.batch(np.array([0, 1]), np.random.default_rng(0))
    noise = tuner._noise(2, torch.Generator().manual_seed(0))
    return draws | {"noise": noise, "levels": torch.tensor([40, 900])}


@torch.no_grad()
def test_each_window_is_noised_to_its_own_level_and_denoised_by_the_talker(tuner_of):
    tuner = tuner_of()
    model, draws = tuner.model, two_windows(tuner)
    z0, made = FrameMaker(model, 3)(draws)
    encode = model.first_stage.encode
    for window, level in enumerate((40, 900)):
        x, landmarks = draws["x"][window], draws["landmarks"][window]
        frames = slice(3 * window, 3 * window + 3)
        torch.testing.assert_close(z0[frames], encode(x))
        context = model.talker.context(draws["audio"][window], draws["labels"][window], landmarks / 16 - 1)
        given = FrameConditions(
            encode(draws["identity"][window : window + 1]).expand(3, -1, -1, -1),
            encode(mask_below(x, mask_top(landmarks))),
            context,
        )
        timesteps, abar = edit_timesteps(level, 3), model.process.abar_T
        noisy = abar[level].sqrt() * z0[frames] + (1 - abar[level]).sqrt() * draws["noise"][window]
        expected = ddim_sample(predict_frames(model.talker, model.process, given), noisy, timesteps, abar)
        torch.testing.assert_close(made[frames], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("end", ["least", "most"])
def test_every_level_that_can_be_drawn_has_a_step_with_a_gradient(tuner_of, monkeypatch, end):
    tuner = tuner_of("lora=null")

    def draw(low, high, size=(), **_):
        return torch.full(size, low if end == "least" else high - 1)

    before = {name: value.clone() for name, value in tuner.tuned.by_name.items()}
    with monkeypatch.context() as patch:
        patch.setattr(torch, "randint", draw)
        shown = tuner.train_step(0, 1e-2, torch.Generator().manual_seed(0))
    assert np.isfinite(shown["loss"])
    assert any(not torch.equal(before[name], value) for name, value in tuner.tuned.by_name.items())


@pytest.mark.parametrize(("lips", "latent"), [(2.0, 3.0), (1.0, 0.0), (0.0, 1.0)])
def test_the_loss_is_the_weighted_sum_of_its_terms(tuner_of, lips, latent):
    tuner = tuner_of("lora=null", f"lips_weight={lips}", f"latent_weight={latent}")
    (descent,) = descents_of(tuner)
    with torch.no_grad():
        z0, made = tuner.network(descent.draws)
        frames = tuner.model.first_stage.decode(made).unflatten(0, (2, 3))
        distance = tuner._lip_distance(frames, descent.draws["x"], descent.draws["landmarks"])
    torch.testing.assert_close(descent.shown["lips"].detach(), distance)
    torch.testing.assert_close(descent.shown["latent"].detach(), (made - z0).square().mean())
    torch.testing.assert_close(descent.loss, lips * descent.shown["lips"] + latent * descent.shown["latent"])
    gradients = torch.autograd.grad(descent.loss, list(tuner.tuned.by_name.values()), allow_unused=True)
    assert any(gradient is not None and gradient.abs().max() > 0 for gradient in gradients)


def test_each_sample_draws_its_own_level(tuner_of):
    tuner = tuner_of("loop.batch_size=6")
    levels = torch.stack([draws["levels"] for draws in draws_of(tuner, 40)])
    assert levels.shape == (40, 6)
    assert (levels.amax(dim=1) > levels.amin(dim=1)).all()
    assert levels.min() >= 2
    assert levels.min() < 100
    assert 900 < levels.max() <= 999


def test_what_is_kept_of_decoding_does_not_grow_with_the_decoder(tuner_of):
    tuner = tuner_of()
    draws = tuner._held_out()[0]
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    with torch.no_grad():
        made = tuner.network(draws)[1]
    tuner.network.forward = lambda on: (made, made.requires_grad_(True))
    tuner._lip_distance = lambda frames, *_: frames.mean()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss, _ = tuner._loss(draws)
    assert sum(kept) <= 4 * made.numel()
    loss.backward()
    assert made.grad.abs().sum() > 0


def test_the_identity_frame_is_outside_the_window_where_the_clip_has_more(inputs, tuner_of):
    windows = tuner_of("identity_frames=[-1,1]").train_data
    random = np.random.default_rng(0)
    # Frames 0 to 2 of 5: one is within reach of the first, but only 3 and 4 are outside.
    assert {windows._identity(np.arange(3), 5, random) for _ in range(20)} == {3}
    assert {windows._identity(np.arange(2, 5), 5, random) for _ in range(20)} == {1}
    assert windows._identity(np.arange(3), 3, random) in range(3)
    assert isinstance(windows, ClipWindows)


def test_the_preset_of_the_thesis_has_a_section_of_its_own():
    assert load_config_file("mead-128")["finetune_lipread"]["loop"]["steps"] == 5000


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
