"""Train the emotion classifier of clean crops and write it with a card: confusion matrix and calibration."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.common.checkpoint import save_emotion_classifier
from stages.common.emotions import EMOTIONS
from stages.common.manifest import Artifact, ArtifactKind
from stages.common.shards import ShardDataset, count_labelled, require_labels
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.emotion.calibration import best_temperature, reliability
from stages.emotion.card import write_card
from stages.emotion.config import EmotionConfig
from stages.emotion.trainer import EmotionTrainer, confusion_matrix, predict
from stages.models.emotion_classifier import EmotionClassifier


def run(config: EmotionConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train to the end of the schedule; the validation split is only looked at, never selected on."""
    train, val = (ShardDataset(inputs["data"], split) for split in ("train", "val"))
    require_labels(train, val)
    torch.manual_seed(context.seed)
    model = EmotionClassifier(config.network)
    stepper = Stepper(config.loop, context)
    trainer = EmotionTrainer(model, config, (train, val), stepper=stepper, seed=context.seed, workers=context.workers)
    row = fit(trainer, config.loop, stepper, context, "emotion classifier")
    save_emotion_classifier(model, context.out)
    labels, logits = predict(model, val, context.device)
    metrics = {
        **row,
        "val_confusion": dict(zip(EMOTIONS, confusion_matrix(labels, logits).tolist(), strict=True)),
        "val_reliability": reliability(labels, logits),
        "val_best_temperature": best_temperature(labels, logits),
    }
    samples = {name: int((train.labels == i).sum()) for i, name in enumerate(EMOTIONS)}
    (context.out / "README.md").write_text(write_card(metrics, samples), encoding="utf-8")
    return ArtifactDraft(count_labelled(train), metrics)


EMOTION = StageSpec("emotion", 2, EmotionConfig, {"data": ArtifactKind.SHARDS}, ArtifactKind.EMOTION_CLASSIFIER, run)
