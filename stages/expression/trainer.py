"""One step of the student's training, and how far it agrees with the teacher on held-out people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from stages.common.errors import BadInputError
from stages.common.expressions import Expressions
from stages.common.face.expression import (
    INNER_LIPS,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    POINT_COUNT,
    RIGHT_EYE,
    RIGHT_IRIS,
    Expression,
)
from stages.common.face.mesh import mirror_coefficients, mirror_points
from stages.common.shards import ShardDataset
from stages.common.tensors import to_model_range
from stages.common.training.lookahead import Lookahead
from stages.common.training.order import SampleOrder
from stages.common.training.stepper import Draws, Stepper
from stages.expression.augment import augment, change_look
from stages.expression.config import ExpressionConfig
from stages.expression.score import measure, predict, predict_spoiled
from stages.expression.spoil import spoil
from stages.models.expression_network import ExpressionNetwork
from stages.models.telling_points import TELLING_POINTS

_STRONGEST = 8
"""Expressions this many deviations from the mean, or more, count as equally strong."""
_DEPTH_WEIGHT = 0.25


@dataclass(frozen=True)
class KnownFaces:
    """The samples of a split whose expression is known: ``indices`` (N,) into ``data``, and ``known`` of the N."""

    data: ShardDataset
    indices: NDArray[np.int64]
    known: Expressions

    def __getitem__(self, number: int) -> tuple[NDArray[np.uint8], Expression]:
        expression = Expression(self.known.points_NP3[number], self.known.coefficients_NK[number])
        return self.data[int(self.indices[number])], expression


def known_faces(data: ShardDataset) -> KnownFaces:
    """Raises ``BadInputError`` where expressions were not measured, or none is known."""
    every = data.expressions()
    indices = np.flatnonzero(every.known)
    if not len(indices):
        raise BadInputError("the expression of no sample of a split is known", "Run `preprocess` with --expression")
    return KnownFaces(data, indices, every.of(indices))


class ExpressionTrainer:
    """Implements ``stages.common.training.loop.Trainee`` for an ``ExpressionNetwork``."""

    def __init__(
        self,
        model: ExpressionNetwork,
        config: ExpressionConfig,
        faces: tuple[KnownFaces, KnownFaces],
        *,
        stepper: Stepper,
        seed: int,
        workers: int = 1,
    ) -> None:
        self.config = config
        self.stepper = stepper
        self.model = model
        self.train_faces, self.val_faces = faces
        self.seed = seed
        self.size_px = model.config.size_px
        strengths = strength_classes(self.train_faces.known.coefficients_NK)
        self.order = SampleOrder(strengths, config.loop.batch_size, seed, config.strength_balance)
        points_per_step = config.loop.batch_size * config.exact_faces
        self.exact_order = SampleOrder(strengths, points_per_step, seed + 1, config.strength_balance)
        self.own = range(config.loop.batch_size)[stepper.own(config.loop.batch_size)]
        self.read = Lookahead(self._read, workers)
        self.weights = point_weights().to(stepper.device)
        optimizer = torch.optim.AdamW(model.parameters(), config.loop.learning_rate, weight_decay=config.weight_decay)
        self.network, self.optimizer = stepper.prepare(_Measures(model), optimizer)

    def train_step(self, step: int, learning_rate: float, random: torch.Generator) -> dict[str, float]:
        self.model.train()
        return self.stepper.descend(self.network, self.optimizer, self.read(step), self._loss, learning_rate)

    def validate(self) -> dict[str, float]:
        """As ``measure`` has it, on validation people without augmentation."""
        faces, device = self.val_faces, self.stepper.device
        found = predict(self.model, faces.data, faces.indices, device)
        spoiled = predict_spoiled(self.model, faces.data, faces.indices, device)
        return measure(found, spoiled, faces.known)

    def score(self, validation: Mapping[str, float]) -> float:
        return validation["val_points_error_percent"] / 10 - validation["val_correlation"]

    def pictures(self) -> Mapping[str, NDArray[np.uint8]]:
        return {}

    def samples(self, step: int) -> str:
        faces = self.train_faces
        return ", ".join(faces.data.keys[i] for i in faces.indices[self.order.indices(step)])

    def state_dict(self) -> dict[str, Any]:
        return {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])

    def _read(self, step: int) -> Draws:
        """This process's part of a step: pictures, what is known of them, and which ones show a face at all."""
        drawn = [self._draw(step, number) for number in self.own]
        return {
            "x": to_model_range([picture for picture, _, _ in drawn]),
            "points": torch.from_numpy(np.stack([known.points_P3 for _, known, _ in drawn])),
            "coefficients": torch.from_numpy(np.stack([known.coefficients_K for _, known, _ in drawn])),
            "seen": torch.tensor([seen for _, _, seen in drawn]),
            **self._read_exact(step),
        }

    def _read_exact(self, step: int) -> Draws:
        """The teacher's points (B, E, P, 3), at any size and place, and coefficients (B, E, K); half are mirrored."""
        known, width = self.train_faces.known, self.size_px
        numbers = self.exact_order.indices(step).reshape(self.config.loop.batch_size, -1)[list(self.own)]
        points, coefficients = known.points_NP3[numbers], known.coefficients_NK[numbers]
        points[:, ::2], coefficients[:, ::2] = (
            mirror_points(points[:, ::2], width),
            mirror_coefficients(coefficients[:, ::2]),
        )
        return {"exact_points": torch.from_numpy(points), "exact_coefficients": torch.from_numpy(coefficients)}

    def _draw(self, step: int, number: int) -> tuple[NDArray[np.uint8], Expression, bool]:
        random = np.random.default_rng([self.seed, step, number])
        face, known = self.train_faces[int(self.order.indices(step)[number])]
        if random.random() < self.config.augment.spoiled:
            return change_look(spoil(face, self.size_px, random), self.config.augment, random), known, False
        return *augment(face, known, self.size_px, self.config.augment, random), True

    def _loss(self, draws: Draws) -> tuple[Tensor, dict[str, Tensor]]:
        on, config = self.stepper.to_device(draws), self.config
        x = on["x"].contiguous(memory_format=torch.channels_last)
        points, coefficients, logits, exact = self.network(x, on["exact_points"].flatten(0, 1))
        seen = on["seen"].float()
        apart = (points - on["points"]).abs() * self.weights
        scale = self.model.coefficient_scale
        off = F.smooth_l1_loss(coefficients / scale, on["coefficients"] / scale, reduction="none").mean(dim=1)
        off_exact = F.smooth_l1_loss(exact / scale, on["exact_coefficients"].flatten(0, 1) / scale)
        shown = {
            "points": _mean_seen(apart.mean(dim=(1, 2)), seen),
            "coefficients": _mean_seen(off, seen),
            "exact": off_exact,
            "confidence": F.binary_cross_entropy_with_logits(logits, seen),
        }
        loss = (
            config.points_weight * shown["points"]
            + config.coefficients_weight * shown["coefficients"]
            + config.exact_weight * shown["exact"]
            + config.confidence_weight * shown["confidence"]
        )
        return loss, {"loss": loss, **shown}


class _Measures(torch.nn.Module):
    """Both ways to coefficients in one call, as training on several devices wants it."""

    def __init__(self, model: ExpressionNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, x_BCHW: Tensor, points_BP3: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return *self.model.measure(x_BCHW), self.model.coefficients_of_points(points_BP3)


def _mean_seen(values_B: Tensor, seen_B: Tensor) -> Tensor:
    return (values_B * seen_B).sum() / seen_B.sum().clamp(min=1)


def strength_classes(coefficients_NK: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many deviations above the mean (N,) each face's most unusual coefficient is, as a whole number."""
    deviation = coefficients_NK.std(axis=0)
    above = (coefficients_NK - coefficients_NK.mean(axis=0)) / np.maximum(deviation, 1e-3)
    return np.asarray(above.max(axis=1).clip(0, _STRONGEST), np.int64)


def point_weights() -> Tensor:
    """How much an error of each point and axis (P, 3) counts: most at eyes and lips, least in depth; 1 on average."""
    weights = torch.ones(POINT_COUNT, 3)
    weights[list(TELLING_POINTS)] = 2
    weights[[*OUTER_LIPS, *INNER_LIPS, *RIGHT_EYE, *LEFT_EYE, *RIGHT_IRIS, *LEFT_IRIS]] = 4
    weights[:, 2] *= _DEPTH_WEIGHT
    return weights / weights.mean()
