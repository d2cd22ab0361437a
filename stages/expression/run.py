"""Train the student of expressions on faces that the teacher has measured, and write it with a card."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from stages.common.checkpoint import save_expression_network
from stages.common.manifest import Artifact, ArtifactKind, Counts
from stages.common.shards import ShardDataset
from stages.common.stage import ArtifactDraft, RunContext, StageSpec
from stages.common.training.loop import fit
from stages.common.training.stepper import Stepper
from stages.expression.card import write_card
from stages.expression.config import ExpressionConfig
from stages.expression.score import describe_coefficients, predict
from stages.expression.trainer import ExpressionTrainer, KnownFaces, known_faces
from stages.models.expression_network import ExpressionNetwork


def run(config: ExpressionConfig, inputs: Mapping[str, Artifact], context: RunContext) -> ArtifactDraft:
    """Train to the end of the schedule; unless ``loop.select`` says so, the validation split is only looked at."""
    splits = [ShardDataset(inputs["data"], split) for split in ("train", "val")]
    train, val = map(known_faces, splits)
    torch.manual_seed(context.seed)
    model = ExpressionNetwork(config.network)
    _begin_at_mean(model, train)
    stepper = Stepper(config.loop, context)
    trainer = ExpressionTrainer(
        model, config, (train, val), stepper=stepper, seed=context.seed, workers=context.workers
    )
    row = fit(trainer, config.loop, stepper, context, "expression network")
    save_expression_network(model, context.out)
    found = predict(model, val.data, val.indices, context.device)
    metrics = {**row, "val_coefficients": describe_coefficients(found, val.known)}
    (context.out / "README.md").write_text(write_card(metrics), encoding="utf-8")
    return ArtifactDraft(_count(train), metrics)


def _begin_at_mean(model: ExpressionNetwork, faces: KnownFaces) -> None:
    scale = model.config.size_px / faces[0][0].shape[0]
    points = torch.from_numpy(faces.known.points_NP3.copy())
    points[..., :2] += 0.5
    points *= scale
    points[..., :2] -= 0.5
    model.fit(points, torch.from_numpy(faces.known.coefficients_NK))


def _count(faces: KnownFaces) -> Counts:
    total, ok = len(faces.data), len(faces.indices)
    return Counts(total=total, ok=ok, rejected_by_reason={"no expression": total - ok} if total > ok else {})


EXPRESSION = StageSpec(
    "expression", 1, ExpressionConfig, {"data": ArtifactKind.SHARDS}, ArtifactKind.EXPRESSION_NETWORK, run
)
