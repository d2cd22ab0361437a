"""Join a latent diffusion model and its helpers in one folder of half-precision weights: a release."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.bundle.config import BundleConfig
from stages.common.checkpoint import (
    load_basis,
    load_denoiser,
    load_emotion_classifier,
    load_expression_network,
    load_latent_space,
    load_model_info,
    load_schedule_config,
    load_upscaler,
    save_basis,
    save_denoiser,
    save_emotion_classifier,
    save_expression_network,
    save_latent_space,
    save_upscaler,
)
from stages.common.emotions import EMOTIONS
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.models.denoiser import Denoiser


def run(config: BundleConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Copy the networks as float16; the metrics of the parents come along."""
    ldm, emotion = inputs["ldm"], inputs["emotion"]
    info = load_model_info(ldm.root).model_copy(
        update={
            "recommended_guidance": dict(config.recommended_guidance),
            "recommended_settings": dict(config.recommended_settings),
            "by_coefficients": "expression" in inputs and load_basis(ldm.root) is not None,
        }
    )
    save_latent_space(load_latent_space(ldm.root).half(), context.out)
    denoiser = load_denoiser(ldm.root)
    _mix_contexts(denoiser, config.contexts)
    save_denoiser(denoiser.half(), load_schedule_config(ldm.root), info, context.out)
    basis = load_basis(ldm.root)
    if basis is not None:
        save_basis(basis, context.out)
    classifier = load_emotion_classifier(emotion.root)
    assert classifier is not None, "an emotion artifact holds a classifier"
    save_emotion_classifier(classifier.half(), context.out)
    expression = inputs.get("expression")
    if expression is not None:
        network = load_expression_network(expression.root)
        assert network is not None, "an expression artifact holds a network"
        save_expression_network(network.half(), context.out)
    if "upscaler" in inputs:
        upscaler = load_upscaler(inputs["upscaler"].root)
        assert upscaler is not None, "an upscaler artifact holds an upscaler"
        save_upscaler(upscaler.half(), context.out)
    metrics = {role: dict(artifact.manifest.metrics) for role, artifact in inputs.items()}
    return ArtifactDraft(Counts(total=1, ok=1), metrics)


@torch.no_grad()
def _mix_contexts(denoiser: Denoiser, contexts: Mapping[str, Mapping[str, float]]) -> None:
    weights_KK = torch.eye(denoiser.null_class)
    for name, parts in contexts.items():
        weights_KK[EMOTIONS.index(name)] = torch.tensor([parts.get(part, 0.0) for part in EMOTIONS])
    trained_KD = denoiser.emotion_embedding.weight[: denoiser.null_class]
    trained_KD.copy_(weights_KK @ trained_KD)


BUNDLE = StageSpec(
    "bundle",
    1,
    BundleConfig,
    {"ldm": ArtifactKind.LATENT_DIFFUSION, "emotion": ArtifactKind.EMOTION_CLASSIFIER},
    ArtifactKind.MODEL,
    run,
    optional_inputs={"expression": ArtifactKind.EXPRESSION_NETWORK, "upscaler": ArtifactKind.UPSCALER},
)
