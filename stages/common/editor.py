"""A loaded model that changes the expression of aligned faces: the one door to encode, invert, sample and decode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.common.checkpoint import (
    ModelInfo,
    load_basis,
    load_denoiser,
    load_emotion_classifier,
    load_expression_network,
    load_latent_space,
    load_model_info,
    load_noisy_classifier,
    load_schedule_config,
    load_upscaler,
    require_latents,
)
from stages.common.edit_method import THESIS_METHOD, EditMethod
from stages.common.emotions import EMOTIONS
from stages.common.errors import BadInputError, MissingModelError
from stages.common.face.basis import ExpressionBasis
from stages.common.face.embedder import face_embedder
from stages.common.face.expression import Expression
from stages.common.face.student import ExpressionStudent
from stages.common.lora import find_base, load_lora_info, merge_lora
from stages.common.manifest import Artifact, ArtifactKind, read_manifest
from stages.common.tensors import from_model_range
from stages.models.bound import bound_x0
from stages.models.classifier_guidance import classifier_guidance
from stages.models.condition import Condition, Context
from stages.models.denoiser import Denoiser
from stages.models.emotion_classifier import EmotionClassifier
from stages.models.expression_network import ExpressionNetwork
from stages.models.first_stage import FirstStage, Pixels
from stages.models.guidance import classifier_free_guidance
from stages.models.latent_space import LatentSpace
from stages.models.noisy_classifier import NoisyClassifier
from stages.models.process import Estimate, ForwardProcess, forward_process
from stages.models.sampler_names import SamplerName
from stages.models.samplers import ROUND_TRIPS, Predict, sample, sampler_timesteps
from stages.models.upscaler import Upscaler


class EditedBatch(NamedTuple):
    """``edited`` under the target label, ``reconstruction`` by the first stage alone; both (B, 3, H, W) in -1..1."""

    edited: Tensor
    reconstruction: Tensor


@dataclass(frozen=True)
class Editor:
    """Everything that one edit needs. Pictures are aligned RGB faces (B, 3, ``size_px``, ``size_px``) in -1..1."""

    first_stage: LatentSpace
    denoiser: Denoiser
    classifier: EmotionClassifier | None
    process: ForwardProcess
    info: ModelInfo
    artifact_id: str
    device: str
    guide: NoisyClassifier | None = None
    guide_id: str | None = None
    expression_basis: ExpressionBasis | None = None
    expression_network: ExpressionNetwork | None = None
    upscaler: Upscaler | None = None

    @property
    def size_px(self) -> int:
        return self.first_stage.config.size_px

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture's latents."""
        config = self.denoiser.config
        return config.latent_channels, config.latent_size, config.latent_size

    @property
    def latent_rms(self) -> float | None:
        """How large latents of a picture are: as the model says, or 1 where its first stage normalises them."""
        space = self.first_stage
        if self.info.latent_rms is not None or isinstance(space, Pixels):
            return self.info.latent_rms
        return None if isinstance(space, FirstStage) and space.scaling_factor == 1 else 1.0

    @property
    def supported(self) -> tuple[str, ...]:
        return self.info.supported

    @property
    def editable(self) -> tuple[str, ...]:
        """The emotions that a face can be given; ``supported`` are those that the network knows by their labels."""
        return EMOTIONS if self.hears_expression else self.supported

    @property
    def recommended_guidance(self) -> Mapping[str, float]:
        return self.info.recommended_guidance

    @property
    def recommended_settings(self) -> Mapping[str, int | float | str]:
        return self.info.recommended_settings

    @property
    def hears_expression(self) -> bool:
        """Whether faces are edited by coefficients, identity and geometry, not by labels alone."""
        return self.denoiser.config.hears_expression and None not in (self.expression_basis, self.expression_network)

    @property
    def basis(self) -> ExpressionBasis:
        """Raises ``MissingModelError`` where the model does not hear expressions."""
        if self.expression_basis is None:
            raise MissingModelError("this model knows emotions by their labels alone", "Use facediff-mini")
        return self.expression_basis

    def measure(self, images_BCHW: Tensor) -> list[Expression]:
        """The expressions of aligned faces in -1..1, points in their pixels. Raises ``MissingModelError``."""
        return ExpressionStudent(self._student, self.device).of_crops(list(from_model_range(images_BCHW)))

    @property
    def _student(self) -> ExpressionNetwork:
        if self.expression_network is None:
            raise MissingModelError("this model does not measure expressions", "Use facediff-mini")
        return self.expression_network

    def interpret(self, points_P3: NDArray[np.float32]) -> NDArray[np.float32]:
        """The coefficients (51,), not clamped, that a face with these points shows. Raises ``MissingModelError``."""
        points_1P3 = torch.from_numpy(np.ascontiguousarray(points_P3, np.float32))[None].to(self.device)
        with torch.inference_mode():
            return np.asarray(self._student.coefficients_of_points(points_1P3)[0].float().cpu().numpy())

    def embed(self, images_BCHW: Tensor) -> NDArray[np.float32]:
        """Who aligned faces in -1..1 are: embeddings (B, 128)."""
        embedder = face_embedder()
        return np.stack([embedder.of_crop(crop_SS3) for crop_SS3 in from_model_range(images_BCHW)])

    @torch.no_grad()
    def enlarge(self, crop_SSC: NDArray[np.float32]) -> NDArray[np.float32]:
        """A crop (S, S, 3) in -1..1 in finer pixels, (F S, F S, 3); the same where the model has no upscaler."""
        if self.upscaler is None:
            return crop_SSC
        x = torch.from_numpy(np.ascontiguousarray(crop_SSC)).permute(2, 0, 1)[None].to(self.device)
        return np.asarray(self.upscaler(x)[0].permute(1, 2, 0).float().cpu().numpy())

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
        source: Condition | Tensor,
        target: Condition | Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
        method: EditMethod = THESIS_METHOD,
        steady: Callable[[Tensor], Tensor] | None = None,
        watch: Callable[[Tensor], None] | None = None,
    ) -> EditedBatch:
        """Inversion under the source labels to level ``strength``, and back under the target labels (thesis 4.4).

        Each face has its own guidance scale (B,). ``steady`` may change the noise eps that inversion found in the
        latents; ``watch`` is shown the clean pictures that the network sees at each level of the way back.
        """
        z0 = self.encode(images_BCHW)
        noisy = self.invert(z0, source, strength=strength, steps=steps, guidance_scale=guidance_scale, method=method)
        if steady is not None:
            abar = self.process.abar_T[min(strength, len(self.process.abar_T) - 1)]
            eps = (noisy - abar.sqrt() * z0) / (1 - abar).sqrt()
            noisy = abar.sqrt() * z0 + (1 - abar).sqrt() * steady(eps)
        edited = self.resample(
            noisy,
            target,
            strength=strength,
            steps=steps,
            guidance_scale=guidance_scale,
            method=method,
            watch=None if watch is None else lambda x0: watch(self.decode(x0)),
        )
        return EditedBatch(self.decode(edited), self.decode(z0))

    def encode(self, images_BCHW: Tensor) -> Tensor:
        """The latents of pictures, on the model's device."""
        return self.first_stage.encode(images_BCHW.to(self.device))

    def decode(self, latents_BCHW: Tensor) -> Tensor:
        """The pictures of latents, within -1..1, on the CPU."""
        return self.first_stage.decode(latents_BCHW).clamp(-1, 1).cpu()

    @torch.no_grad()
    def invert(
        self,
        latents_BCHW: Tensor,
        source: Condition | Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
        method: EditMethod = THESIS_METHOD,
    ) -> Tensor:
        """The latents at level ``strength`` from which the way back, under the same labels, leads to these."""
        scale = guidance_scale if method.guided == "both" else torch.ones_like(guidance_scale)
        way, abar_T = ROUND_TRIPS[method.sampler], self.process.abar_T
        predict = self.predict(source, scale, method)
        return way.invert(predict, latents_BCHW, way.timesteps(strength, steps, abar_T), abar_T)

    @torch.no_grad()
    def resample(
        self,
        noisy_BCHW: Tensor,
        target: Condition | Tensor,
        *,
        strength: int,
        steps: int,
        guidance_scale: Tensor,
        method: EditMethod = THESIS_METHOD,
        watch: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Latents at level ``strength`` back to clean ones, under the target labels or ``method.target_weights``."""
        way, abar_T = ROUND_TRIPS[method.sampler], self.process.abar_T
        mixed = None
        if method.target_weights is not None:
            mixed = self.denoiser.mixed_context(method.target_weights.to(self.device))
        predict = self.predict(target, guidance_scale, method, mixed)
        predict = self._guided(predict, target, method.classifier_scale)
        if watch is not None:
            predict = _watched(predict, watch)
        return way.sample(predict, noisy_BCHW, way.timesteps(strength, steps, abar_T), abar_T)

    @torch.no_grad()
    def generate(
        self,
        labels: Tensor,
        noise: Callable[[], Tensor],
        *,
        sampler: SamplerName,
        steps: int,
        guidance_scale: Tensor,
        eta: float = 0.0,
        bound: float | None = None,
        classifier_scale: float = 0.0,
    ) -> Tensor:
        """Pictures (B, 3, ``size_px``, ``size_px``) in -1..1 of these classes (B,), from pure ``noise()``.

        ``noise`` gives latents (B, *``latent_shape``), and what an ancestral sampler adds on its way. ``bound`` is the
        power of ``bound_x0``, which is left out where ``latent_rms`` is unknown.
        """
        abar_T = self.process.abar_T
        timesteps = sampler_timesteps(sampler, steps, abar_T)
        predict = self._guided(self.predict(labels, guidance_scale), labels, classifier_scale)
        if bound is not None and self.latent_rms is not None:
            predict = bound_x0(predict, abar_T, bound, self.latent_rms)
        z = sample(sampler, predict, noise(), timesteps, abar_T, eta=eta, noise=noise)
        return self.decode(z)

    def predict(
        self,
        condition: Condition | Tensor,
        guidance_scale: Tensor,
        method: EditMethod = THESIS_METHOD,
        context: Context | None = None,
    ) -> Predict:
        """The denoiser under a condition (labels (B,) alone may stand for one) and a guidance scale for each face (B,).

        ``context`` takes the place of the condition's own. Guidance leads away from ``method.negative_labels``, or else
        from the same people with no expression in particular.
        """
        condition = condition.to(self.device)
        away: Condition | Tensor | None = None
        if method.negative_labels is not None:
            away = method.negative_labels.to(self.device)
        elif isinstance(condition, Condition):
            away = condition.without_expression(self.denoiser.null_class)
        return classifier_free_guidance(
            self.denoiser,
            self.process,
            self.denoiser.context(condition) if context is None else context,
            guidance_scale.to(self.device),
            negative_context=None if away is None else self.denoiser.context(away),
            guided_levels=method.guided_levels,
        )

    def guided_by(self, classifier: Artifact) -> Editor:
        """The same model with a classifier for classifier guidance.

        Raises ``BadInputError`` when the classifier knows other latents or another noise schedule.
        """
        guide = load_noisy_classifier(classifier.root, self.device)
        require_latents(self.first_stage, guide.config.latent_channels, guide.config.latent_size)
        if not torch.equal(forward_process(load_schedule_config(classifier.root)).abar_T, self.process.abar_T.cpu()):
            raise BadInputError(f"{classifier.root} knows another noise schedule", "Train it with the model's schedule")
        return replace(self, guide=guide, guide_id=classifier.manifest.artifact_id)

    def _guided(self, predict: Predict, condition: Condition | Tensor, scale: float) -> Predict:
        if self.guide is None or scale == 0:
            return predict
        labels = condition if isinstance(condition, Tensor) else condition.labels_B
        return classifier_guidance(predict, self.guide, self.process, labels.to(self.device), scale)


def _watched(predict: Predict, watch: Callable[[Tensor], None]) -> Predict:
    def watched(z_BCHW: Tensor, t: int) -> Estimate:
        estimate = predict(z_BCHW, t)
        watch(estimate.x0)
        return estimate

    return watched


def load_editor(root: Path, device: str = "cpu", base: Path | None = None) -> Editor:
    """Read a model folder, or a low-rank update merged into the model that it changes: ``base``, or one in the store.

    Raises ``MissingModelError`` when a part of it is absent or wrong.
    """
    manifest = read_manifest(root / "manifest.json")
    if manifest.kind is ArtifactKind.LORA:
        return _load_updated(root, manifest.artifact_id, device, base)
    return Editor(
        first_stage=load_latent_space(root, device),
        denoiser=load_denoiser(root, device),
        classifier=load_emotion_classifier(root, device),
        process=forward_process(load_schedule_config(root)).to(device),
        info=load_model_info(root),
        artifact_id=manifest.artifact_id,
        device=device,
        expression_basis=load_basis(root),
        expression_network=load_expression_network(root, device),
        upscaler=load_upscaler(root, device),
    )


def _load_updated(root: Path, artifact_id: str, device: str, base: Path | None) -> Editor:
    """The updated model recommends the guidance that it was tuned at."""
    editor = load_editor(find_base(root, base).root, device)
    merge_lora(editor.denoiser.unet, root)
    editor.denoiser.eval().requires_grad_(False)
    lora = load_lora_info(root)
    guidance = {**editor.recommended_guidance, lora.emotion: lora.guidance}
    info = editor.info.model_copy(update={"recommended_guidance": guidance})
    return replace(editor, info=info, artifact_id=artifact_id)
