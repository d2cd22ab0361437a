"""Settings of the student of expressions."""

from __future__ import annotations

from pydantic import Field

from stages.common.config import StageConfig
from stages.common.training.config import LoopConfig
from stages.models.expression_network import ExpressionNetworkConfig


class AugmentConfig(StageConfig):
    """What may happen to a training face. Rotation, scale and shift are drawn evenly up to their bounds."""

    max_rotation_deg: float = Field(default=12.0, ge=0, le=45)
    """Largest rotation about the crop's centre, either way."""
    max_scale: float = Field(default=1.15, ge=1, lt=2)
    """Largest enlargement; the largest shrinking is its inverse."""
    max_shift: float = Field(default=6 / 128, ge=0, le=0.25)
    """Largest shift along either axis, as a share of the side."""
    occlusion: float = Field(default=0.25, ge=0, le=1)
    """Share of the faces that rectangles cover in part."""
    light: float = Field(default=0.7, ge=0, le=1)
    """Share with another gamma, colour cast or a light from one side."""
    blur: float = Field(default=0.4, ge=0, le=1)
    """Share that is blurred, or shrunk and enlarged again."""
    noise: float = Field(default=0.25, ge=0, le=1)
    """Share with the noise of a sensor."""
    jpeg: float = Field(default=0.25, ge=0, le=1)
    """Share that went through strong JPEG compression."""
    spoiled: float = Field(default=0.12, ge=0, lt=1)
    """Share of the crops that are made to show no measurable face, for the confidence."""


class ExpressionConfig(StageConfig):
    """How the student learns from the teacher's points and coefficients."""

    network: ExpressionNetworkConfig = ExpressionNetworkConfig()
    loop: LoopConfig = LoopConfig(
        steps=4000, batch_size=128, learning_rate=2e-3, warmup_steps=100, decay=True, gradient_clip=5.0
    )
    augment: AugmentConfig = AugmentConfig()
    strength_balance: float = Field(default=0.5, ge=0, le=1)
    """How much more often strong expressions are drawn than they occur: ``SampleOrder``'s balance over strengths."""
    weight_decay: float = Field(default=0.02, ge=0)
    """AdamW's weight decay."""
    points_weight: float = Field(default=1.0, ge=0)
    """Weight of the points' mean distance in pixels."""
    coefficients_weight: float = Field(default=1.0, ge=0)
    """Weight of the coefficients' error in units of their spread."""
    exact_weight: float = Field(default=1.0, ge=0)
    """Weight of that error where the network is given the teacher's own points."""
    exact_faces: int = Field(default=8, ge=1)
    """How many faces' points it is given for each picture that it sees."""
    confidence_weight: float = Field(default=0.2, ge=0)
    """Weight of telling faces from spoiled crops."""
