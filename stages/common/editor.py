"""A loaded model that changes the expression of aligned faces: the one door to encode, invert, sample and decode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from stages.common.checkpoint import (
    ModelInfo,
    load_denoiser,
    load_emotion_classifier,
    load_first_stage,
    load_model_info,
    load_schedule_config,
)
from stages.common.emotions import EMOTIONS
from stages.common.errors import MissingModelError
from stages.common.manifest import read_manifest
from stages.models.denoiser import Denoiser
from stages.models.emotion_classifier import EmotionClassifier
from stages.models.first_stage import FirstStage
from stages.models.guidance import classifier_free_guidance
from stages.models.process import ForwardProcess, forward_process
from stages.models.samplers import ddim_invert, ddim_sample, edit_timesteps

DEFAULT_GUIDANCE = 3.0
NEUTRAL = EMOTIONS[0]


class EditedBatch(NamedTuple):
    """``edited`` under the target label, ``reconstruction`` by the first stage alone; both (B, 3, H, W) in -1..1."""

    edited: Tensor
    reconstruction: Tensor


@dataclass(frozen=True)
class Editor:
    """Everything that one edit needs. Pictures are aligned RGB faces (B, 3, ``size_px``, ``size_px``) in -1..1."""

    first_stage: FirstStage
    denoiser: Denoiser
    classifier: EmotionClassifier | None
    process: ForwardProcess
    info: ModelInfo
    artifact_id: str
    device: str

    @property
    def size_px(self) -> int:
        return self.first_stage.config.size_px

    @property
    def supported(self) -> tuple[str, ...]:
        return self.info.supported

    @property
    def recommended_guidance(self) -> Mapping[str, float]:
        return self.info.recommended_guidance

    @torch.no_grad()
    def classify(self, images_BCHW: Tensor) -> Tensor:
        """Probabilities (B, 8) in the order of ``EMOTIONS``. Raises ``MissingModelError`` without a classifier."""
        if self.classifier is None:
            raise MissingModelError("this model has no emotion classifier", "Name the expression with --source")
        logits: Tensor = self.classifier(images_BCHW.to(self.device))
        return logits.softmax(dim=1)

    @torch.no_grad()
    def edit(
        self,
        images_BCHW: Tensor,
        source_labels: Tensor,
        target_labels: Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
    ) -> EditedBatch:
        """DDIM inversion under the source labels to level ``strength``, and back under the target labels (thesis 4.4).

        ``steps`` network evaluations each way. Each face's guidance scale (B,) serves both ways.
        """
        x = images_BCHW.to(self.device)
        source, target = source_labels.to(self.device), target_labels.to(self.device)
        scale = guidance_scale.to(self.device)
        timesteps = edit_timesteps(strength, steps)
        z0 = self.first_stage.encode(x)
        as_source, as_target = (
            classifier_free_guidance(self.denoiser, self.process, labels, scale) for labels in (source, target)
        )
        noise = ddim_invert(as_source, z0, timesteps, self.process.abar_T)
        edited = ddim_sample(as_target, noise, timesteps, self.process.abar_T)
        return EditedBatch(
            self.first_stage.decode(edited).clamp(-1, 1).cpu(), self.first_stage.decode(z0).clamp(-1, 1).cpu()
        )


class Classifies(Protocol):
    """A model that says which expression a face has, and which expressions it can do."""

    @property
    def supported(self) -> tuple[str, ...]: ...

    def classify(self, images_BCHW: Tensor) -> Tensor: ...


def classify_sources(model: Classifies, images_BCHW: Tensor) -> tuple[list[str], list[float]]:
    """The likeliest of the emotions that the model can do, and its probability, for each crop in -1..1."""
    supported = [EMOTIONS.index(name) for name in model.supported]
    found = model.classify(images_BCHW).detach().float().cpu()[:, supported].max(dim=1)
    return [model.supported[i] for i in found.indices.tolist()], found.values.tolist()


class RecommendsGuidance(Protocol):
    """A model that knows which guidance scale turns a neutral face into some emotions."""

    @property
    def recommended_guidance(self) -> Mapping[str, float]: ...


def guidance_for(model: RecommendsGuidance, source: str, target: str, wanted: float | None = None) -> float:
    """The guidance scale of one edit: what the user wants, else what suits.

    A neutral face takes the model's own for the target. Leaving another expression changes the face much already, and
    takes the default.
    """
    if wanted is not None:
        return wanted
    if source != NEUTRAL:
        return DEFAULT_GUIDANCE
    return float(model.recommended_guidance.get(target, DEFAULT_GUIDANCE))


def load_editor(root: Path, device: str = "cpu") -> Editor:
    """Read a model folder. Raises ``MissingModelError`` when a part of it is absent or wrong."""
    return Editor(
        first_stage=load_first_stage(root, device),
        denoiser=load_denoiser(root, device),
        classifier=load_emotion_classifier(root, device),
        process=forward_process(load_schedule_config(root)).to(device),
        info=load_model_info(root),
        artifact_id=read_manifest(root / "manifest.json").artifact_id,
        device=device,
    )
