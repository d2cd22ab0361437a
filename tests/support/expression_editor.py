"""A stand-in for a model that hears expressions: a drawn face whose mouth opens, corners rise and brows go up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from stages.common.emotions import EMOTIONS
from stages.common.face.basis import ExpressionBasis
from stages.common.face.expression import COEFFICIENTS, LEFT_BROW, RIGHT_BROW, Expression
from stages.models.condition import Condition
from support.fake_editor import FakeBatch, FakeEditor
from support.mesh import MOUTH, make_mesh

CROP_PX = 128


def drawn_points(size_px: int = CROP_PX) -> np.ndarray:
    """Points (478, 3) of a face at rest in a crop of ``size_px``, its middle nearer than its outline."""
    plane = make_mesh(opening_px=1.0)
    away = np.linalg.norm((plane - (63.5, 66)) / (44, 52), axis=1)
    points = np.concatenate([plane, 30 * away[:, None] ** 2], axis=1)
    points[:, :2] = (points[:, :2] + 0.5) * size_px / CROP_PX - 0.5
    points[:, 2] *= size_px / CROP_PX
    return points.astype(np.float32)


def drawn_basis(size_px: int = CROP_PX) -> ExpressionBasis:
    """Jaw, corners of the mouth and brows move by known ways; no other coefficient moves anything."""
    mean_P3 = drawn_points(size_px)
    unit = size_px / CROP_PX
    basis_KP3 = np.zeros((len(COEFFICIENTS), *mean_P3.shape), np.float32)
    plane = (mean_P3[:, :2] + 0.5) / unit - 0.5
    in_mouth = np.exp(-0.5 * (((plane - MOUTH) / (14, 8)) ** 2).sum(axis=1))
    below = plane[:, 1] > MOUTH[1]
    basis_KP3[COEFFICIENTS.index("jawOpen"), :, 1] = 20 * unit * in_mouth * below
    for side, x in (("Left", 80.5), ("Right", 46.5)):
        near = np.exp(-0.5 * (((plane - (x, MOUTH[1])) / 6) ** 2).sum(axis=1))
        basis_KP3[COEFFICIENTS.index(f"mouthSmile{side}"), :, 1] = -8 * unit * near
    basis_KP3[COEFFICIENTS.index("browInnerUp"), list(LEFT_BROW + RIGHT_BROW), 1] = -6 * unit
    count = len(COEFFICIENTS)
    return ExpressionBasis(
        mean_P3, basis_KP3, np.full(count, 0.5, np.float32), np.full(count, 0.02, np.float32), size_px
    )


@dataclass
class FakeExpressionEditor(FakeEditor):
    """Measures ``own`` on every face, and brightens those whose coefficients are to change."""

    supported: tuple[str, ...] = EMOTIONS
    hears_expression: bool = True
    own: dict[str, float] = field(default_factory=lambda: {"jawOpen": 0.1})
    confidence: float = 0.9
    enlarged: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def basis(self) -> ExpressionBasis:
        return drawn_basis(self.size_px)

    @property
    def own_K(self) -> np.ndarray:
        return np.array([self.own.get(name, 0.0) for name in COEFFICIENTS], np.float32)

    def measure(self, images_BCHW: torch.Tensor) -> list[Expression]:
        return [Expression(drawn_points(self.size_px), self.own_K, self.confidence) for _ in images_BCHW]

    def embed(self, images_BCHW: torch.Tensor) -> np.ndarray:
        return np.ones((len(images_BCHW), 128), np.float32)

    def interpret(self, points_P3: np.ndarray) -> np.ndarray:
        """What the basis would have added to the face at rest: the exact inverse of its displacements."""
        basis = self.basis
        moving = np.abs(basis.basis_KP3).sum(axis=(1, 2)) > 0
        directions = basis.basis_KP3[moving].reshape(moving.sum(), -1)
        found = np.zeros(len(COEFFICIENTS), np.float32)
        found[moving] = np.linalg.lstsq(directions.T, (points_P3 - basis.mean_P3).ravel(), rcond=None)[0]
        return found

    def enlarge(self, crop_SSC: np.ndarray) -> np.ndarray:
        self.enlarged.append(crop_SSC.shape)
        return crop_SSC

    def edit(
        self,
        images_BCHW: torch.Tensor,
        source_labels: Condition,
        target_labels: Condition,
        *,
        strength: int,
        steps: int,
        guidance_scale: torch.Tensor,
        method: object,
        steady: Callable[[torch.Tensor], torch.Tensor] | None = None,
        watch: Callable[[torch.Tensor], None] | None = None,
    ) -> FakeBatch:
        source, target = source_labels, target_labels
        assert isinstance(source, Condition)
        assert isinstance(target, Condition)
        self.seen.append({"source": source, "target": target, "guidance": guidance_scale.tolist(), "method": method})
        reconstruction = images_BCHW * 0.8
        if steady is not None:
            steady(images_BCHW)
        if watch is not None:
            for _ in range(steps):
                watch(reconstruction)
        return FakeBatch(self._changed(reconstruction, source, target), reconstruction)

    def encode(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        return images_BCHW * 0.8

    def decode(self, latents_BCHW: torch.Tensor) -> torch.Tensor:
        return latents_BCHW

    def invert(self, latents_BCHW: torch.Tensor, source: Condition, **how: object) -> torch.Tensor:
        self.seen.append({"source": source, **how})
        return latents_BCHW

    def resample(self, noisy_BCHW: torch.Tensor, target: Condition, **how: object) -> torch.Tensor:
        source = self.seen[-1]["source"]
        self.seen.append({"target": target, **how})
        return self._changed(noisy_BCHW, source.repeat(len(noisy_BCHW) // len(source.labels_B)), target)

    def _changed(self, pictures_BCHW: torch.Tensor, source: Condition, target: Condition) -> torch.Tensor:
        changed = (source.coefficients_BK != target.coefficients_BK).any(dim=1).float()[:, None, None, None]
        return (pictures_BCHW + self.change * changed).clamp(-1, 1)
