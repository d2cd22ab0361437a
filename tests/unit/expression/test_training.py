"""What the student learns, and how its agreement with the teacher is counted."""

from pathlib import Path

import numpy as np
import pytest
import torch
from support.expressions import face_points, write_expressions
from support.shards import make_shards
from support.tiny_model import tiny_config

from stages.common.checkpoint import load_expression_network
from stages.common.engine import execute
from stages.common.errors import BadInputError
from stages.common.expressions import EXPRESSIONS_NAME, Expressions
from stages.common.face.expression import COEFFICIENTS, LEFT_EYE
from stages.common.shards import ShardDataset
from stages.common.stage import RunContext
from stages.common.training.stepper import Stepper
from stages.expression.run import EXPRESSION
from stages.expression.score import Predictions, correlations, describe_coefficients, measure, points_error_percent
from stages.expression.trainer import ExpressionTrainer, known_faces, point_weights, strength_classes
from stages.models.expression_network import ExpressionNetwork


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return make_shards(tmp_path_factory.mktemp("expression"), expression=True)


@pytest.fixture
def trainer(shards):
    config = tiny_config(EXPRESSION, "loop.batch_size=16", "augment.spoiled=0.3")
    faces = tuple(known_faces(ShardDataset(shards, split)) for split in ("train", "val"))
    torch.manual_seed(0)
    model = ExpressionNetwork(config.network)
    model.fit(torch.from_numpy(faces[0].known.points_NP3), torch.from_numpy(faces[0].known.coefficients_NK))
    return ExpressionTrainer(model, config, faces, stepper=Stepper(config.loop, RunContext(Path())), seed=0)


def steps(trainer, count):
    return [trainer.train_step(step, 1e-2, torch.Generator()) for step in range(count)]


def test_every_loss_falls(trainer):
    shown = steps(trainer, 60)
    for name in ("loss", "exact", "confidence"):
        assert np.mean([row[name] for row in shown[-10:]]) < np.mean([row[name] for row in shown[:10]])


def test_a_spoiled_crop_teaches_nothing_but_doubt(trainer):
    draws = trainer.read(0)
    assert 0 < int((~draws["seen"]).sum()) < len(draws["seen"])
    other = dict(draws)
    other["points"] = torch.where(draws["seen"][:, None, None], draws["points"], draws["points"] + 100)
    torch.testing.assert_close(trainer._loss(other)[0], trainer._loss(draws)[0])


def test_validation_says_how_far_off_and_how_sure_it_is(trainer):
    row = trainer.validate()
    assert 0 < row["val_points_error_percent"] < 100
    assert -1 <= row["val_lowest_correlation"] <= row["val_correlation"] <= 1
    assert 0 <= row["val_confidence_spoiled"] <= 1
    assert trainer.score({**row, "val_correlation": 1.0}) < trainer.score({**row, "val_correlation": 0.0})


def test_a_face_that_is_not_known_is_left_out_and_counted(shards, tmp_path):
    data = make_shards(tmp_path, expression=True)
    keys = [*ShardDataset(data, "train").keys, *ShardDataset(data, "val").keys, *ShardDataset(data, "test").keys]
    write_expressions(data.path(EXPRESSIONS_NAME), keys, 32, unknown=frozenset(keys[:3]))
    out = execute(EXPRESSION, tiny_config(EXPRESSION), {"data": data}, tmp_path / "out")
    counts = out.manifest.counts
    assert (counts.total, counts.ok, counts.rejected_by_reason) == (16, 13, {"no expression": 3})
    assert set(out.manifest.metrics["val_coefficients"]) == set(COEFFICIENTS)
    assert "| jawOpen |" in out.path("README.md").read_text()
    assert isinstance(load_expression_network(out.root), ExpressionNetwork)


def test_faces_without_expressions_are_bad_input(tmp_path):
    with pytest.raises(BadInputError, match="--expression"):
        execute(EXPRESSION, tiny_config(EXPRESSION), {"data": make_shards(tmp_path / "data")}, tmp_path / "out")


def test_a_split_of_which_nothing_is_known_is_bad_input(tmp_path):
    data = make_shards(tmp_path / "data", expression=True)
    keys = [key for split in ("train", "val", "test") for key in ShardDataset(data, split).keys]
    write_expressions(data.path(EXPRESSIONS_NAME), keys, 32, unknown=frozenset(keys))
    with pytest.raises(BadInputError, match="expression of no sample"):
        execute(EXPRESSION, tiny_config(EXPRESSION), {"data": data}, tmp_path / "out")


def made_up(count=5):
    points = np.stack([face_points(32, seed) for seed in range(count)])
    coefficients = np.random.default_rng(0).random((count, len(COEFFICIENTS))).astype(np.float32)
    return Expressions(points, coefficients, np.zeros((count, 128), np.float32))


def test_points_are_off_in_percent_of_the_distance_of_the_eyes():
    known = made_up()
    off = known.points_NP3.copy()
    apart = np.linalg.norm(off[:, 468, :2] - off[:, 473, :2], axis=1)
    off[:, :, 0] += 0.1 * apart[:, None]
    off[:, :, 2] += 50
    found = Predictions(off, known.coefficients_NK, np.ones(5, np.float32))
    np.testing.assert_allclose(points_error_percent(found, known), 10, rtol=1e-3)


def test_a_perfect_student_agrees_in_everything():
    known = made_up()
    found = Predictions(known.points_NP3, known.coefficients_NK, np.full(5, 0.9, np.float32))
    doubted = Predictions(known.points_NP3, known.coefficients_NK, np.array([0.1, 0.1, 0.1, 0.1, 0.8], np.float32))
    row = measure(found, doubted, known)
    assert row["val_points_error_percent"] == row["val_coefficient_error"] == 0
    assert row["val_lowest_correlation"] == pytest.approx(1)
    assert row["val_told_apart"] == pytest.approx(0.9)
    assert describe_coefficients(found, known)["jawOpen"]["correlation"] == pytest.approx(1)


def test_correlations_are_pearsons_and_0_where_nothing_varies():
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, 50, 3)).astype(np.float32)
    other[:, 2] = 4
    found = correlations(one, other)
    assert found[0] == pytest.approx(np.corrcoef(one[:, 0], other[:, 0])[0, 1], abs=1e-5)
    assert found[2] == 0


def test_unusual_expressions_are_in_classes_of_their_own():
    coefficients = np.full((100, 3), 0.2, np.float32) + np.random.default_rng(0).normal(0, 0.01, (100, 3))
    coefficients[7, 1] = 0.9
    classes = strength_classes(coefficients.astype(np.float32))
    assert classes[7] == classes.max() > 4
    assert (classes >= 0).all()


def test_eyes_count_more_than_cheeks_and_depth_least():
    weights = point_weights()
    assert weights.mean() == pytest.approx(1)
    assert weights[LEFT_EYE[0], 0] > weights[50, 0] > weights[50, 2]
