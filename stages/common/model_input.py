"""A model as an input of a stage: a release, what ``train ldm`` wrote, or what ``finetune`` changed of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stages.common.checkpoint import load_emotion_classifier
from stages.common.editor import Editor, load_editor
from stages.common.emotions import parse_emotion
from stages.common.errors import ConfigError, MissingModelError
from stages.common.lora import find_base
from stages.common.manifest import MANIFEST_NAME, Artifact, ArtifactKind, read_manifest
from stages.models.emotion_classifier import EmotionClassifier

MODEL_ROLES: Mapping[str, ArtifactKind] = {
    "model": ArtifactKind.MODEL,
    "ldm": ArtifactKind.LATENT_DIFFUSION,
    "lora": ArtifactKind.LORA,
}
"""The roles of a stage that takes exactly one of them."""
GUIDE_ROLES: Mapping[str, ArtifactKind] = {"classifier": ArtifactKind.NOISY_CLASSIFIER}
"""The role of a stage that can be guided by a classifier."""


def as_model_input(model: Artifact) -> dict[str, Artifact]:
    """The artifact under the role of its kind. Raises ``MissingModelError`` when it cannot make latents."""
    for role, kind in MODEL_ROLES.items():
        if model.manifest.kind is kind:
            return {role: model}
    raise MissingModelError(
        f"{model.root} holds {model.manifest.kind.value}, which makes no faces", "Give a model, or what train ldm wrote"
    )


def model_of(inputs: Mapping[str, Artifact]) -> Artifact:
    return next(inputs[role] for role in MODEL_ROLES if role in inputs)


def load_model(inputs: Mapping[str, Artifact], device: str) -> Editor:
    """The model among the inputs, with the classifier among them if there is one."""
    editor = load_editor(model_of(inputs).root, device)
    return editor.guided_by(inputs["classifier"]) if "classifier" in inputs else editor


def load_classifier_of(root: Path, device: str) -> EmotionClassifier | None:
    """The classifier of a model's folder, for an update that of the model which it changes; None where it has none."""
    kind = read_manifest(root / MANIFEST_NAME).kind
    return load_emotion_classifier(find_base(root).root if kind is ArtifactKind.LORA else root, device)


def supported_emotions(wanted: tuple[str, ...], supported: tuple[str, ...]) -> tuple[str, ...]:
    """``wanted`` by their canonical names, or all where none is. Raises ``ConfigError`` for one not learned."""
    names = tuple(map(parse_emotion, wanted))
    for name in names:
        if name not in supported:
            raise ConfigError(f"the model has not learned {name}", "It can do: " + ", ".join(supported))
    return names or supported
