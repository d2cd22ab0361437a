"""Every term of the denoiser's objective, and every part of what the network is told."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.descents import assert_dropped_one_by_one, descents_of, draws_of, unused_weights
from support.tiny_model import tiny_config

from stages.common.emotions import NULL_CLASS
from stages.common.latents import CachedLatents
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.ldm.run import LDM
from stages.ldm.trainer import LdmTrainer
from stages.models.condition import Condition
from stages.models.denoiser import build_denoiser
from stages.models.first_stage import Pixels, PixelsConfig
from stages.models.variational import ReverseProcess

LABELS = torch.tensor([0, 1, 2, 5])
PARTS = {
    "coefficients": torch.linspace(-0.9, 0.9, 12).view(4, 3),
    "identity": torch.linspace(-1, 1, 20).view(4, 5),
    "geometry": torch.linspace(0.1, 1, 4 * 2 * 16 * 16).view(4, 2, 16, 16),
}
ALL_PARTS = [
    "network.coefficients=3",
    "network.identity=5",
    "network.geometry_maps=2",
    "network.geometry_px=16",
]
SURE = "unconditional_probability=0"


class Faces:
    """Four faces of which everything is known."""

    labels = LABELS.numpy()

    def __init__(self, parts):
        self.parts = {"labels": LABELS, **parts}

    def __len__(self):
        return 4

    def batch(self, indices, _mirrored, _random=None):
        return {name: part[torch.from_numpy(indices)] for name, part in self.parts.items()}


@pytest.fixture
def trainer_of():
    def make(*settings):
        config = tiny_config(LDM, "loop.batch_size=8", *settings)
        torch.manual_seed(0)
        faces = Faces(PARTS if config.network.coefficients else {})
        data = (CachedLatents(torch.randn(2, 4, 3, 8, 8).half()), faces)
        stepper = Stepper(config.loop, RunContext(Path()))
        space = Pixels(PixelsConfig(size_px=8))
        return LdmTrainer(build_denoiser(config.network), space, config, data, data, stepper=stepper, seed=0)

    return make


class Recorder(torch.nn.Module):
    """Says 0.3 of everything, and keeps what it is told."""

    def forward(self, *told):
        self.told = told
        return torch.full_like(told[0], 0.3)


def unknown_rows(name, part_SB):
    """Where a part (steps, batch, ...) is unknown."""
    if name == "labels":
        return part_SB == NULL_CLASS
    flat = part_SB.flatten(2)
    return flat.eq(0).all(dim=2) if name == "geometry" else flat.isnan().all(dim=2)


def drawn(trainer, steps=150):
    """Each part of the condition over steps, as drawn, and as it would be if nothing were dropped."""
    draws = draws_of(trainer, steps)
    rows = torch.from_numpy(np.stack([trainer.order.indices(step) for step in range(steps)]))
    names = ["labels", *(PARTS if trainer.denoiser.config.coefficients else {})]
    return {name: (torch.stack([d[name] for d in draws]), {"labels": LABELS, **PARTS}[name][rows]) for name in names}


def test_the_expression_is_dropped_sample_by_sample_and_all_of_it_at_once(trainer_of):
    parts = drawn(trainer_of("unconditional_probability=0.3", *ALL_PARTS))
    dropped = unknown_rows("labels", parts["labels"][0])
    assert_dropped_one_by_one(dropped, 0.3)
    for name, (found, true) in parts.items():
        gone = unknown_rows(name, found)
        assert torch.equal(gone, torch.zeros_like(dropped) if name == "identity" else dropped)
        assert torch.equal(found[~gone], true[~gone])


@pytest.mark.parametrize("name", ["labels", *PARTS])
def test_a_part_alone_is_dropped_sample_by_sample(trainer_of, name):
    parts = drawn(trainer_of(SURE, f"dropout.{name}=0.4", *ALL_PARTS))
    for other, (found, true) in parts.items():
        gone = unknown_rows(other, found)
        if other == name:
            assert_dropped_one_by_one(gone, 0.4)
        else:
            assert not gone.any()
        assert torch.equal(found[~gone], true[~gone])


def test_without_a_probability_no_condition_is_dropped(trainer_of):
    parts = drawn(trainer_of(SURE), 20)
    assert not unknown_rows("labels", parts["labels"][0]).any()


def test_the_network_is_told_each_part_in_its_place(trainer_of):
    trainer = trainer_of(SURE, *ALL_PARTS)
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    (_, _, condition), draws = trainer.network.told, descent.draws
    assert isinstance(condition, Condition)
    assert torch.equal(condition.labels_B, draws["labels"])
    assert torch.equal(condition.coefficients_BK, draws["coefficients"])
    assert torch.equal(condition.identity_BE, draws["identity"])
    assert torch.equal(condition.geometry_BGSS, draws["geometry"])


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_the_network_is_told_noisy_latents_their_level_and_their_class(trainer_of, prediction):
    trainer = trainer_of(f"schedule.prediction_type={prediction}", SURE)
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    draws = descent.draws
    abar = trainer.objective.process.abar_T[draws["timesteps"]].view(-1, 1, 1, 1)
    z_t, timesteps, condition = trainer.network.told
    torch.testing.assert_close(z_t, abar.sqrt() * draws["z0"] + (1 - abar).sqrt() * draws["noise"])
    assert torch.equal(timesteps, draws["timesteps"])
    assert torch.equal(condition.labels_B, LABELS[torch.from_numpy(trainer.order.indices(0))])
    target = {
        "epsilon": draws["noise"],
        "sample": draws["z0"],
        "v_prediction": abar.sqrt() * draws["noise"] - (1 - abar).sqrt() * draws["z0"],
    }[prediction]
    torch.testing.assert_close(descent.loss, (0.3 - target).square().mean())


def test_levels_and_noise_are_drawn_for_each_sample(trainer_of):
    draws = draws_of(trainer_of(), 30)
    timesteps = torch.stack([d["timesteps"] for d in draws])
    assert (timesteps.amax(dim=1) > timesteps.amin(dim=1)).all()
    assert timesteps.min() < 60
    assert 940 < timesteps.max() <= 999
    noise = torch.stack([d["noise"] for d in draws])
    assert abs(noise.std().item() - 1) < 0.02
    assert (noise.flatten(2).diff(dim=1).abs().amax(dim=2) > 0.5).all()


def test_the_weight_of_min_snr_and_the_bound_are_in_the_loss(trainer_of):
    trainer = trainer_of("min_snr_gamma=5", "vlb_weight=0.01")
    trainer.network = Recorder()
    (descent,) = descents_of(trainer)
    draws, process = descent.draws, trainer.objective.process
    abar = process.abar_T[draws["timesteps"]]
    snr = abar / (1 - abar)
    error = (0.3 - draws["noise"]).square().mean(dim=(1, 2, 3))
    simple = (snr.clamp(max=5) / snr * error).mean()
    z_t = trainer.network.told[0]
    estimate = process.estimate(torch.full_like(z_t, 0.3), z_t, draws["timesteps"])
    reverse = ReverseProcess(process, 2 / 255)
    vlb = 1000 * reverse.bound_terms(estimate, draws["z0"], z_t, draws["timesteps"]).mean()
    torch.testing.assert_close(descent.loss, simple + 0.01 * vlb)


def test_each_part_and_the_level_reach_the_output(trainer_of):
    trainer = trainer_of(*ALL_PARTS)
    network, z = trainer.denoiser.eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        # Unknown and known are told apart by more than what training begins with.
        for part in network.expression_embedding.parts.values():
            part.null += 1
    known = Condition(LABELS[:2], PARTS["coefficients"][:2], PARTS["identity"][:2], PARTS["geometry"][:2])

    def said(condition=known, level=10):
        with torch.no_grad():
            return network(z, torch.tensor([level, 10]), condition)

    plain = said()
    changed = {
        "labels_B": torch.tensor([NULL_CLASS, 1]),
        "coefficients_BK": torch.stack([PARTS["coefficients"][0] + 0.3, PARTS["coefficients"][1]]),
        "identity_BE": torch.stack([PARTS["identity"][0] * torch.nan, PARTS["identity"][1]]),
        "geometry_BGSS": torch.stack([PARTS["geometry"][3], PARTS["geometry"][1]]),
    }
    others = {name: said(known._replace(**{name: value})) for name, value in changed.items()}
    for name, other in {**others, "level": said(level=900)}.items():
        assert (other[0] - plain[0]).abs().max() > 1e-5, name
        torch.testing.assert_close(other[1], plain[1])


@pytest.mark.parametrize("settings", [[], [SURE, "network.learned_variance=true"], ALL_PARTS])
def test_every_weight_is_part_of_the_loss(trainer_of, settings):
    (descent,) = descents_of(trainer_of(*settings))
    assert unused_weights(descent.loss, descent.network) == []


def test_identities_are_drawn_alike_on_any_number_of_processes():
    def read(own):
        faces = SimpleNamespace(batch=lambda indices, _, random: {"drawn": random.random((len(indices), 2))})
        order = SimpleNamespace(indices=lambda _: np.arange(6), mirrored=lambda _: np.zeros(6, bool))
        latents = SimpleNamespace(batch=lambda *_: None)
        stepper = SimpleNamespace(rank=own.start // 3)
        trainer = SimpleNamespace(own=own, seed=4, order=order, train_faces=faces, train_data=latents, stepper=stepper)
        return LdmTrainer._read(trainer, 9)["drawn"]

    assert np.array_equal(np.concatenate([read(slice(0, 3)), read(slice(3, 6))]), read(slice(0, 6)))
