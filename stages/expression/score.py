"""How well predictions agree with the teacher's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from stages.common.expressions import Expressions
from stages.common.face.expression import COEFFICIENTS
from stages.common.face.mesh import eye_distance_px
from stages.common.shards import ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training.order import even_batches
from stages.expression.spoil import spoil
from stages.models.expression_network import ExpressionNetwork
from stages.models.telling_points import TELLING_POINTS

Floats = NDArray[np.float32]
_BATCH = 64


@dataclass(frozen=True, slots=True)
class Predictions:
    """Of N faces: ``points_NP3`` in pixels of their crops, ``coefficients_NK`` and ``confidence_N`` 0..1."""

    points_NP3: Floats
    coefficients_NK: Floats
    confidence_N: Floats


@torch.no_grad()
def predict(model: ExpressionNetwork, data: ShardDataset, indices: NDArray[np.int64], device: str) -> Predictions:
    """What the network says of these samples."""
    return _predict(model, [data.batch(part) for part in even_batches(indices, _BATCH)], device)


@torch.no_grad()
def predict_spoiled(
    model: ExpressionNetwork, data: ShardDataset, indices: NDArray[np.int64], device: str
) -> Predictions:
    """What it says of the same samples, each made to show no measurable face; always in the same way."""
    size = model.config.size_px
    parts = [
        np.stack([spoil(data[int(i)], size, np.random.default_rng([int(i), size])) for i in part])
        for part in even_batches(indices, _BATCH)
    ]
    return _predict(model, parts, device)


def _predict(model: ExpressionNetwork, parts: list[NDArray[np.uint8]], device: str) -> Predictions:
    was_training = model.training
    model.eval()
    measured = [model(to_model_range(part).to(device)) for part in parts]
    model.train(was_training)
    points, coefficients, confidence = (torch.cat(column).cpu().numpy() for column in zip(*measured, strict=True))
    return Predictions(points, coefficients, confidence)


def points_error_percent(found: Predictions, known: Expressions) -> Floats:
    """Each face's mean distance (N,) of its points in the plane, in percent of the distance between the pupils."""
    return np.asarray(points_errors_percent(found, known).mean(axis=1), np.float32)


def points_errors_percent(found: Predictions, known: Expressions) -> Floats:
    """The distance of every point (N, P), in percent of the distance between the pupils."""
    apart = np.linalg.norm((found.points_NP3 - known.points_NP3)[..., :2], axis=-1)
    return np.asarray(100 * apart / eye_distance_px(known.points_NP3)[:, None], np.float32)


def correlations(found: Floats, known: Floats) -> Floats:
    """Pearson's correlation (K,) of the columns of two (N, K) arrays; 0 where a column does not vary."""
    a, b = (values.astype(np.float64) - values.mean(axis=0, dtype=np.float64) for values in (found, known))
    spread = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    agreement = np.divide((a * b).sum(axis=0), spread, out=np.zeros_like(spread), where=spread > 1e-12)
    return np.asarray(agreement, np.float32)


def measure(found: Predictions, spoiled: Predictions, known: Expressions) -> dict[str, float]:
    """The numbers of one row of a history; ``found`` and ``known`` are of the same faces."""
    errors = points_errors_percent(found, known)
    agreement = correlations(found.coefficients_NK, known.coefficients_NK)
    return {
        "val_points_error_percent": float(errors.mean()),
        "val_telling_points_error_percent": float(errors[:, list(TELLING_POINTS)].mean()),
        "val_correlation": float(agreement.mean()),
        "val_lowest_correlation": float(agreement.min()),
        "val_coefficient_error": float(np.abs(found.coefficients_NK - known.coefficients_NK).mean()),
        "val_confidence": float(found.confidence_N.mean()),
        "val_confidence_spoiled": float(spoiled.confidence_N.mean()),
        "val_told_apart": float(((found.confidence_N > 0.5).mean() + (spoiled.confidence_N <= 0.5).mean()) / 2),
    }


def describe_coefficients(found: Predictions, known: Expressions) -> dict[str, dict[str, float]]:
    """For each coefficient its correlation, mean error, and how far the teacher's values reach (97th percentile)."""
    agreement = correlations(found.coefficients_NK, known.coefficients_NK)
    errors = np.abs(found.coefficients_NK - known.coefficients_NK).mean(axis=0)
    reach = np.percentile(known.coefficients_NK, 97, axis=0)
    return {
        name: {"correlation": float(agreement[k]), "error": float(errors[k]), "reach": float(reach[k])}
        for k, name in enumerate(COEFFICIENTS)
    }
