"""Every term of the talker's objective, and everything that it is told: nothing dropped, nothing leaked."""

from typing import Any

import numpy as np
import pytest
import torch
from support.descents import assert_dropped_one_by_one, descents_of, draws_of, unused_weights
from support.talking import make_clips
from support.tiny_model import tiny_config

from stages.common.engine import execute
from stages.models.talker import Talker
from stages.talk_training import run as stage
from stages.talk_training.run import TALK_TRAINING
from stages.talk_training.trainer import TalkTrainer
from stages.vqgan.run import VQGAN

SURE = "unconditional_probability=0"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    root = tmp_path_factory.mktemp("talk-objective")
    clips = make_clips(root / "clips")
    return {"data": clips, "first_stage": execute(VQGAN, tiny_config(VQGAN), {"clips": clips}, root / "vqgan")}


@pytest.fixture
def trainer_of(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEDIFF_HOME", str(tmp_path / "home"))

    def make(*settings: str) -> TalkTrainer:
        made = []
        with monkeypatch.context() as patch:
            patch.setattr(stage, "fit", lambda trainer, *_: made.append(trainer) or {})
            execute(TALK_TRAINING, tiny_config(TALK_TRAINING, *settings), inputs, tmp_path / "out")
        made[0].talker.requires_grad_(True)
        return made[0]

    return make


@pytest.fixture
def told(monkeypatch):
    """What talkers are told; they say 0.3 of everything."""
    seen: list[dict[str, torch.Tensor]] = []

    def predict(_self, z_t, timesteps, identity, masked, context):
        seen.append(
            {"z_t": z_t, "timesteps": timesteps, "identity": identity, "masked": masked, "context": context.detach()}
        )
        return torch.full_like(z_t, 0.3) + 0 * context.sum()

    monkeypatch.setattr(Talker, "predict", predict)
    return seen


def test_the_talker_is_told_each_condition_in_its_place(trainer_of, told):
    trainer = trainer_of(SURE, "identity_noise=0.5", "lips_weight=0")
    (descent,) = descents_of(trainer)
    draws, (seen,) = descent.draws, told
    abar = trainer.process.abar_T[draws["timesteps"]].view(-1, 1, 1, 1)
    torch.testing.assert_close(seen["z_t"], abar.sqrt() * draws["z0"] + (1 - abar).sqrt() * draws["noise"])
    assert torch.equal(seen["timesteps"], draws["timesteps"])
    torch.testing.assert_close(seen["identity"], draws["identity"] + 0.5 * draws["identity_noise"])
    assert torch.equal(seen["masked"], draws["masked"])
    context = trainer.talker.context(draws["audio"], draws["labels"], draws["landmarks"])
    torch.testing.assert_close(seen["context"], context)


def test_the_identity_frame_is_another_than_the_target(trainer_of):
    data = trainer_of().train_data
    rows = np.arange(len(data))
    chosen = data.identities(rows, np.random.default_rng(5))
    assert (chosen != rows).all()
    identity = data.batch(rows, np.random.default_rng(5))["identity"]
    assert torch.equal(identity, data.latents.whole(chosen))
    same = (identity == data.latents.whole(rows)).flatten(1).all(dim=1)
    assert same.float().mean() < 0.5, "frames of one clip may look alike"


def test_what_is_given_of_the_target_hides_its_lower_half(trainer_of):
    data = trainer_of().train_data
    rows = np.arange(len(data))
    masked, whole = data.batch(rows, np.random.default_rng(0))["masked"], data.latents.whole(rows)
    assert (masked - whole)[:, :, 6:].abs().mean() > 0.05


def test_conditions_are_dropped_sample_by_sample(trainer_of):
    trainer = trainer_of("unconditional_probability=0.3", "loop.batch_size=8")
    dropped = torch.stack([draws["dropped"] for draws in draws_of(trainer, 150)])
    assert_dropped_one_by_one(dropped, 0.3)


def test_what_is_dropped_is_the_whole_context_of_that_sample_alone(trainer_of, told):
    trainer = trainer_of(SURE, "lips_weight=0")
    with torch.no_grad():
        trainer.talker.conditioning["null"].vector += 1
    (descent,) = descents_of(trainer)
    draws = descent.draws | {"dropped": torch.tensor([True, False, False, True])}
    trainer._loss(draws)
    context = trainer.talker.context(draws["audio"], draws["labels"], draws["landmarks"])
    null = trainer.talker.null_context(4)
    torch.testing.assert_close(told[-1]["context"], torch.stack([null[0], context[1], context[2], null[3]]))


def test_each_condition_reaches_the_output(trainer_of):
    trainer = trainer_of(SURE)
    (descent,) = descents_of(trainer)
    on = trainer.stepper.to_device(descent.draws)
    trainer.stepped.eval()

    def said(**changed):
        with torch.no_grad():
            return trainer.network(on["z0"], on | changed)[0]

    plain = said()
    changes = {name: on[name] + 0.5 for name in ("identity", "masked", "audio", "landmarks")}
    changes["labels"] = (on["labels"] + 1) % 8
    changes["timesteps"] = 999 - on["timesteps"]
    for name, value in changes.items():
        assert (said(**{name: value}) - plain).abs().amax(dim=(1, 2, 3)).min() > 1e-5, name


def test_the_loss_is_the_weighted_sum_of_its_terms(trainer_of, told):
    trainer = trainer_of(SURE, "lips_weight=3", "unmasked_weight=0.25", "min_snr_gamma=5")
    (descent,) = descents_of(trainer)
    draws = descent.draws
    abar = trainer.process.abar_T[draws["timesteps"]]
    snr = abar / (1 - abar)
    rows = torch.arange(8)[None, :] >= (draws["tops"] // 4)[:, None]
    cells = torch.where(rows, 1.0, 0.25)[:, None, :, None].expand_as(draws["noise"])
    error = (cells * (0.3 - draws["noise"]).square()).sum(dim=(1, 2, 3)) / cells.sum(dim=(1, 2, 3))
    simple = (snr.clamp(max=5) / snr * error).mean()
    heard = trainer.talker.conditioning["audio"](draws["lip_audio"].flatten(0, 1))
    lips = (trainer.stepped.lips(heard) - draws["lips"].flatten(0, 1)).square().mean()
    torch.testing.assert_close(descent.loss, simple + 3 * lips)
    (gradient,) = torch.autograd.grad(descent.loss, trainer.stepped.lips.weight)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_target_is_what_the_schedule_says(trainer_of, told, prediction):
    trainer = trainer_of(SURE, "lips_weight=0", f"schedule.prediction_type={prediction}")
    (descent,) = descents_of(trainer)
    draws = descent.draws
    abar = trainer.process.abar_T[draws["timesteps"]].view(-1, 1, 1, 1)
    target = {
        "epsilon": draws["noise"],
        "sample": draws["z0"],
        "v_prediction": abar.sqrt() * draws["noise"] - (1 - abar).sqrt() * draws["z0"],
    }[prediction]
    torch.testing.assert_close(descent.loss, (0.3 - target).square().mean())


@pytest.mark.parametrize("settings", [[SURE], ["network.audio=null", "network.emotion=false", "lips_weight=0"]])
def test_every_weight_is_part_of_the_loss(trainer_of, settings):
    (descent,) = descents_of(trainer_of(*settings))
    assert unused_weights(descent.loss, descent.network) == []
