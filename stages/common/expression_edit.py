"""From what a user asks for to what a network that hears expressions is told, and where the points of a face go.

Shapes: B faces, P = 478 points, K coefficients, E numbers of an identity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.emotions import NULL_CLASS
from stages.common.errors import BadInputError
from stages.common.face.basis import ExpressionBasis
from stages.common.face.directions import (
    affect_direction,
    coefficient_names,
    emotion_direction,
    gaze_or_blink,
    rested,
    unit_direction,
)
from stages.common.face.expression import COEFFICIENTS, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE, Expression
from stages.common.face.geometry import draw_geometry
from stages.common.face.lips import close_lips, open_share
from stages.models.condition import Condition

Floats = NDArray[np.float32]
LEAST_CONFIDENCE = 0.2
"""A face that is measured with less than this is not one that can be edited by its points."""
MOST_REACH = 2.0
LEAST_BROW_GAP = 0.35
_ROUNDS, _NO_CHANGE = 3, 1e-3


class HearsExpressions(Protocol):
    """A model whose network hears coefficients, identity and geometry, and that measures them."""

    @property
    def size_px(self) -> int: ...
    @property
    def basis(self) -> ExpressionBasis: ...

    def measure(self, images_BCHW: Tensor) -> list[Expression]: ...
    def embed(self, images_BCHW: Tensor) -> Floats: ...

    def interpret(self, points_P3: Floats) -> Floats: ...


@dataclass(frozen=True, slots=True)
class ExpressionTarget:
    """What a face is to express, and ``amount``, how much of the way there to go.

    ``mixture`` weights emotions, ``au`` adds action units, ``expression`` sets coefficients ("0.4") or adds to them
    ("+0.2") by name, ``copied`` are the coefficients of another face, by name.
    """

    mixture: Mapping[str, float] = field(default_factory=dict)
    amount: float = 1.0
    au: Mapping[str, float] = field(default_factory=dict)
    expression: Mapping[str, str] = field(default_factory=dict)
    valence: float = 0.0
    arousal: float = 0.0
    copied: Mapping[str, float] = field(default_factory=dict)


class PointMove(NamedTuple):
    """Where the points (P, 3) of a face are, and where they go, in pixels of its crop."""

    source_P3: Floats
    target_P3: Floats


class ExpressionPlan(NamedTuple):
    """``source`` and ``target`` are what the network is told of B faces; ``moves`` what their points do."""

    source: Condition
    target: Condition
    moves: tuple[PointMove, ...]


def plan_expressions(
    editor: HearsExpressions,
    images_BCHW: Tensor,
    wanted: ExpressionTarget | Sequence[ExpressionTarget],
    least_confidence: float = LEAST_CONFIDENCE,
) -> ExpressionPlan:
    """Measure aligned faces in -1..1 and say what is to become of them: of all the same, or of each what is its own.

    Raises ``BadInputError`` ("no face") where a face is measured with less than ``least_confidence``.
    """
    measured = editor.measure(images_BCHW)
    if min(expression.confidence for expression in measured) < least_confidence:
        raise BadInputError(
            "the face cannot be measured",
            "Is it turned away, covered or blurred? --face picks another",
            reason="no face",
        )
    moves, targets = [], []
    each = [wanted] * len(measured) if isinstance(wanted, ExpressionTarget) else wanted
    for expression, of_face in zip(measured, each, strict=True):
        targets.append(target_coefficients(expression.coefficients_K, of_face, editor.basis))
        moves.append(_move(expression, targets[-1], editor))
    identity_BE = torch.from_numpy(editor.embed(images_BCHW))
    owns = np.stack([expression.coefficients_K for expression in measured])
    return ExpressionPlan(
        _condition(owns, identity_BE, [move.source_P3 for move in moves], editor.size_px),
        _condition(np.stack(targets), identity_BE, [move.target_P3 for move in moves], editor.size_px),
        tuple(moves),
    )


def _move(expression: Expression, target_K: Floats, editor: HearsExpressions) -> PointMove:
    """Where a face's points go for these coefficients (K,)."""
    own_K, points_P3 = expression.coefficients_K, expression.points_P3
    change_K = reaching_change(points_P3, target_K - own_K, editor)
    moved_P3 = points_P3 + editor.basis.displacement(points_P3, change_K)
    share = open_share(own_K, target_K, editor.basis)
    return PointMove(points_P3, close_lips(moved_P3, points_P3, share) if share < 1 else moved_P3)


def reaching_change(points_P3: Floats, wanted_K: Floats, editor: HearsExpressions) -> Floats:
    """The change (K,) to give the basis so that the moved points express ``wanted_K`` more than before.

    The basis is linear and coefficients are not: what is missing after a move is asked for once more, a few times, up
    to ``MOST_REACH`` times what is wanted. Coefficients that the teacher never gives cannot be checked and stay.
    """
    before_K = editor.interpret(points_P3)
    checked_K = editor.basis.heard_K & (np.abs(wanted_K) > _NO_CHANGE)
    most_K = MOST_REACH * np.abs(wanted_K)
    change_K = wanted_K
    for _ in range(_ROUNDS):
        reached_K = editor.interpret(points_P3 + editor.basis.displacement(points_P3, change_K)) - before_K
        change_K = np.where(checked_K, (change_K + wanted_K - reached_K).clip(-most_K, most_K), wanted_K)
    return keep_brows_off_lids(points_P3, np.asarray(change_K, np.float32), editor.basis)


def keep_brows_off_lids(points_P3: Floats, change_K: Floats, basis: ExpressionBasis) -> Floats:
    """The change with brows lowered by no more than leaves ``LEAST_BROW_GAP`` of the room above the lids.

    Skin that is pressed into less becomes a bright line.
    """
    lowered = np.array([name.startswith("browDown") for name in COEFFICIENTS])
    without_K = np.where(lowered, 0, change_K).astype(np.float32)
    before, free, moved = (
        _brow_gap(points_P3 + basis.displacement(points_P3, some_K)) for some_K in (0 * change_K, without_K, change_K)
    )
    least = LEAST_BROW_GAP * before
    if moved >= min(least, free):
        return change_K
    share = (free - least) / (free - moved) if free > least else 0.0
    return np.asarray(np.where(lowered, share * change_K, change_K), np.float32)


def _brow_gap(points_P3: Floats) -> float:
    """The smaller of the mean distances from brow to upper lid, along the picture's height."""
    pairs = ((LEFT_BROW, LEFT_EYE), (RIGHT_BROW, RIGHT_EYE))
    return min(float(points_P3[list(eye), 1].min() - points_P3[list(brow), 1].mean()) for brow, eye in pairs)


def target_coefficients(own_K: Floats, wanted: ExpressionTarget, basis: ExpressionBasis) -> Floats:
    """The coefficients (K,) that a face with ``own_K`` is to have, 0..1.

    An emotion takes the place of the face's own expression; action units, valence and arousal add to it; coefficients
    by name are set or added to, last. ``wanted.amount`` scales all of the change but these.
    """
    wanted_K = own_K
    if wanted.mixture:
        wanted_K = rested(own_K, basis.rest_K)
        for emotion, weight in wanted.mixture.items():
            wanted_K = wanted_K + weight * emotion_direction(emotion) * basis.usual_K
    if wanted.copied:
        wanted_K = np.where(gaze_or_blink(), own_K, _named(wanted.copied, own_K))
    for unit, value in wanted.au.items():
        wanted_K = wanted_K + value * unit_direction(unit) * basis.usual_K
    if wanted.valence or wanted.arousal:
        wanted_K = wanted_K + affect_direction(wanted.valence, wanted.arousal) * basis.usual_K
    target_K = own_K + wanted.amount * (wanted_K.clip(0, 1) - own_K)
    for name, setting in wanted.expression.items():
        for part in coefficient_names(name):
            index = COEFFICIENTS.index(part)
            value = float(setting)
            target_K[index] = target_K[index] + value if setting[0] in "+-" else value
    return np.asarray(target_K.clip(0, 1), np.float32)


def _named(values: Mapping[str, float], otherwise_K: Floats) -> Floats:
    return np.array([values.get(n, o) for n, o in zip(COEFFICIENTS, otherwise_K, strict=True)], np.float32)


def _condition(coefficients_BK: Floats, identity_BE: Tensor, points: list[Floats], size_px: int) -> Condition:
    geometry = np.stack([draw_geometry(points_P3[:, :2], size_px) for points_P3 in points])
    return Condition(
        torch.full((len(points),), NULL_CLASS),
        torch.from_numpy(coefficients_BK),
        identity_BE,
        torch.from_numpy(geometry).float() / 255,
    )
