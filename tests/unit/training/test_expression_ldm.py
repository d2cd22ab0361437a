"""A denoiser that hears expressions: its training data, its weights and its folder."""

import numpy as np
import pytest
import torch
from support.shards import make_shards

from stages.autoencoder.config import AutoencoderConfig
from stages.autoencoder.run import AUTOENCODER
from stages.common.checkpoint import load_basis, load_denoiser, load_latent_space
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.face.expression import COEFFICIENTS
from stages.common.shards import ShardDataset
from stages.evaluate.config import ReconstructionConfig
from stages.evaluate.reconstruction import RECONSTRUCTION
from stages.ldm.conditions import FaceConditions, condition_of, drop
from stages.ldm.config import LdmConfig
from stages.ldm.run import LDM
from stages.models.condition import Condition
from stages.models.patch_autoencoder import PatchAutoencoder

NETWORK = {
    "latent_size": 4,
    "latent_channels": 5,
    "block_out_channels": [32, 32],
    "attention_levels": [False, True],
    "layers_per_block": 1,
    "context_dim": 16,
    "coefficients": len(COEFFICIENTS),
    "identity": 128,
    "geometry_maps": 6,
    "context_in_blocks": True,
}
CONFIG = {
    "network": NETWORK,
    "loop": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3},
    "dropout": {"labels": 0.5, "coefficients": 0.2, "identity": 0.2, "geometry": 0.2},
    "expression_balance": 5.0,
    "appearance_balance": 0.5,
}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("shards"), expression=True)


@pytest.fixture(scope="module")
def first_stage(shards, tmp_path_factory):
    config = AutoencoderConfig.model_validate(
        {
            "network": {"size_px": 32, "components": 5, "width": 8, "blocks": 1},
            "perceptual": "none",
            "loop": {"steps": 2, "batch_size": 4, "learning_rate": 1e-3},
        }
    )
    return execute(AUTOENCODER, config, {"data": shards}, tmp_path_factory.mktemp("ae") / "ae")


@pytest.fixture(scope="module")
def ldm(shards, first_stage, tmp_path_factory):
    inputs = {"data": shards, "first_stage": first_stage}
    return execute(LDM, LdmConfig.model_validate(CONFIG), inputs, tmp_path_factory.mktemp("ldm") / "ldm")


def conditions(shards, split="train"):
    data = ShardDataset(shards, split)
    return FaceConditions(data, data.labels, LdmConfig.model_validate(CONFIG).network)


def test_a_trained_folder_holds_all_that_hears(ldm):
    assert isinstance(load_latent_space(ldm.root), PatchAutoencoder)
    denoiser, basis = load_denoiser(ldm.root), load_basis(ldm.root)
    assert basis is not None
    assert basis.basis_KP3.shape == (len(COEFFICIENTS), 478, 3)
    heard = torch.from_numpy(basis.heard_K)
    usual_K = denoiser.expression_embedding.usual_K
    assert torch.allclose(usual_K[heard], torch.from_numpy(basis.usual_K)[heard], atol=1e-3)
    assert (usual_K[~heard] > 1e4).all()


def test_every_part_of_the_condition_changes_the_prediction(ldm, shards):
    denoiser = load_denoiser(ldm.root)
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    told = condition_of(conditions(shards).batch(np.arange(3), np.zeros(3, bool)))
    z, times = torch.randn(3, 5, 4, 4), torch.tensor([10, 400, 900])
    whole = denoiser(z, times, told)
    unknown = {
        "labels_B": torch.full((3,), denoiser.null_class),
        "coefficients_BK": None,
        "identity_BE": None,
        "geometry_BGSS": None,
    }
    for name, nothing in unknown.items():
        assert (denoiser(z, times, told._replace(**{name: nothing})) - whole).abs().max() > 1e-4, name
    everything = denoiser(z, times, told.without_expression(denoiser.null_class)._replace(identity_BE=None))
    assert torch.allclose(everything, denoiser(z, times, unknown["labels_B"]), atol=1e-6)


def test_an_unknown_row_is_the_null_of_its_part(ldm):
    denoiser = load_denoiser(ldm.root)
    labels = torch.tensor([1, 1])
    coefficients = torch.rand(2, len(COEFFICIENTS))
    coefficients[1] = torch.nan
    tokens = denoiser.context(Condition(labels, coefficients)).tokens_BND
    nothing = denoiser.context(labels).tokens_BND
    assert torch.equal(tokens[1], nothing[1])
    assert not torch.equal(tokens[0], nothing[0])


def test_mirrored_faces_exchange_left_and_right(shards):
    faces = conditions(shards)
    plain, mirrored = (faces.batch(np.arange(2), np.full(2, flag)) for flag in (False, True))
    left, right = COEFFICIENTS.index("mouthSmileLeft"), COEFFICIENTS.index("mouthSmileRight")
    assert torch.equal(plain["coefficients"][:, left], mirrored["coefficients"][:, right])
    assert torch.equal(plain["geometry"].flip(3), mirrored["geometry"])


def test_dropped_parts_are_unknown_and_others_untouched(shards):
    parts = conditions(shards).batch(np.arange(2), np.zeros(2, bool))
    first = torch.tensor([True, False])
    never = torch.zeros(2, dtype=torch.bool)
    dropped = {"labels": first, "coefficients": first, "identity": never, "geometry": first}
    told = drop(parts, dropped, null_class=8)
    assert told["labels"].tolist() == [8, parts["labels"][1]]
    assert told["coefficients"][0].isnan().all()
    assert torch.equal(told["coefficients"][1], parts["coefficients"][1])
    assert not told["geometry"][0].any()
    assert torch.equal(told["identity"], parts["identity"])


def test_a_face_without_expression_is_told_as_unknown(shards):
    faces = conditions(shards, "test")
    faces.expressions.coefficients_NK[0] = np.nan
    faces.expressions.points_NP3[0] = np.nan
    parts = faces.batch(np.arange(len(faces)), np.zeros(len(faces), bool))
    unknown = parts["coefficients"].isnan().all(dim=1)
    assert unknown.sum() == 1
    assert not parts["geometry"][unknown].any()


def test_a_first_stage_without_a_codebook_is_measured_as_any_other(shards, first_stage, tmp_path):
    config = ReconstructionConfig(metrics=("psnr",))
    made = execute(RECONSTRUCTION, config, {"first_stage": first_stage, "shards": shards}, tmp_path / "eval")
    assert made.manifest.counts.ok == 2
    assert 5 < made.manifest.metrics["psnr"] < 60


def test_data_without_expressions_is_refused(tmp_path, first_stage):
    inputs = {"data": make_shards(tmp_path), "first_stage": first_stage}
    with pytest.raises(BadInputError, match="says nothing of expressions"):
        execute(LDM, LdmConfig.model_validate(CONFIG), inputs, tmp_path / "ldm")
