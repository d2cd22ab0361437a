"""Stand-ins for the model and the face detector: no weights, known answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from stages.common.emotions import EMOTIONS
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import Face
from stages.common.face.similarity import invert_similarity, transform_points


@dataclass(frozen=True)
class FakeBatch:
    edited: torch.Tensor
    reconstruction: torch.Tensor


@dataclass
class FakeEditor:
    """Reconstructs with less contrast, and brightens the crop by ``change`` when the target is not the source."""

    size_px: int = 128
    supported: tuple[str, ...] = ("neutral", "happy", "sad")
    artifact_id: str = "f" * 64
    guide_id: str | None = None
    recommended_guidance: dict[str, float] = field(default_factory=lambda: {"sad": 2.0})
    recommended_settings: dict[str, object] = field(default_factory=dict)
    seen: list[dict[str, object]] = field(default_factory=list)
    sees: str = "neutral"
    change: float = 0.08
    hears_expression: bool = False

    @property
    def editable(self) -> tuple[str, ...]:
        return self.supported

    def classify(self, images_BCHW: torch.Tensor) -> torch.Tensor:
        assert images_BCHW.min() >= -1
        assert images_BCHW.max() <= 1
        probabilities = torch.full((len(images_BCHW), len(EMOTIONS)), 0.05)
        probabilities[:, EMOTIONS.index(self.sees)] = 0.65
        return probabilities

    def edit(
        self,
        images_BCHW: torch.Tensor,
        source_labels: torch.Tensor,
        target_labels: torch.Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: torch.Tensor,
        method: object,
        steady: Callable[[torch.Tensor], torch.Tensor] | None = None,
        watch: Callable[[torch.Tensor], None] | None = None,
    ) -> FakeBatch:
        self.seen.append(
            {
                "sources": source_labels.tolist(),
                "targets": target_labels.tolist(),
                "guidance": guidance_scale.tolist(),
                "method": method,
            }
        )
        reconstruction = images_BCHW * 0.8
        if steady is not None:
            steady(images_BCHW)
        if watch is not None:
            for _ in range(steps):
                watch(reconstruction)
        changed = (source_labels != target_labels).float()[:, None, None, None]
        return FakeBatch(reconstruction + self.change * changed, reconstruction)


@dataclass
class FakeDetector:
    """Finds upright canonical faces, each given as (left, top, side) in pixels; the largest first."""

    squares: tuple[tuple[float, float, float], ...] = ((40.0, 30.0, 100.0),)
    name: str = "fake"

    def __call__(self, rgb: np.ndarray) -> list[Face]:
        assert rgb.dtype == np.uint8
        assert rgb.ndim == 3
        return [make_face(*square) for square in sorted(self.squares, key=lambda s: -s[2])]


def make_face(left: float, top: float, side_px: float, angle: float = 0.0) -> Face:
    """The canonical face in a square of this side, turned by ``angle`` radians about its middle."""
    points = canonical_landmarks(100) * (side_px / 100)
    middle = np.array([side_px / 2, side_px / 2])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    landmarks = (points - middle) @ turn.T + middle + (left, top)
    return Face((left, top, left + side_px, top + side_px), 1.0, landmarks)


def square_matrix(left: float, top: float, side_px: float, size_px: int) -> np.ndarray:
    """The photo-to-crop similarity of an upright square."""
    to_photo = np.array([[side_px / size_px, 0, left], [0, side_px / size_px, top]])
    matrix = invert_similarity(to_photo)
    assert np.allclose(transform_points(matrix, [[left, top]]), 0)
    return matrix
