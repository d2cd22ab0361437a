"""Edits of the same faces into several emotions, with every network evaluation made once that they have in common.

Inversion knows nothing of the target, so one serves all; and the first step back starts for all targets from the same
latents, where the null branch of the guidance is the same too. Shapes: B faces, T targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stages.common.edit_method import EditMethod
from stages.common.editor import Editor
from stages.common.emotions import EMOTIONS
from stages.common.expression_edit import ExpressionTarget, plan_expressions
from stages.models.condition import Condition
from stages.models.samplers import ddim_move, ddim_sample, edit_timesteps


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of an evaluation's settings; all targets belong to it."""

    strength: int
    guidance_scale: float
    steps: int

    @property
    def name(self) -> str:
        return f"t{self.strength}-g{self.guidance_scale:g}-s{self.steps}"

    def naive_evaluations(self, faces: int, targets: int) -> int:
        """Network evaluations of editing every face into every target on its own."""
        steps = len(edit_timesteps(self.strength, self.steps)) - 1
        return faces * targets * 2 * steps * (1 if self.guidance_scale == 1 else 2)


@torch.no_grad()
def edit_into_each(
    editor: Editor, images_BCHW: Tensor, source_labels_B: Tensor, targets: Sequence[str], cell: Cell
) -> list[Tensor]:
    """What ``Editor.edit`` makes of the faces for each target, (B, 3, H, W) in -1..1."""
    source, conditions = _conditions(editor, images_BCHW, source_labels_B, targets)
    scale_B = torch.full((len(images_BCHW),), cell.guidance_scale, device=editor.device)
    method = EditMethod(guided="back" if editor.hears_expression else "both")
    timesteps, abar_T = edit_timesteps(cell.strength, cell.steps), editor.process.abar_T
    noise = editor.invert(
        editor.encode(images_BCHW),
        source,
        strength=cell.strength,
        steps=cell.steps,
        guidance_scale=scale_B,
        method=method,
    )
    if len(timesteps) == 1:
        return [editor.decode(noise)] * len(targets)
    edited = []
    for condition, z_BCHW in zip(conditions, _first_step(editor, noise, conditions, timesteps, cell), strict=True):
        sample = editor.predict(condition, scale_B)
        edited.append(editor.decode(ddim_sample(sample, z_BCHW, timesteps[:-1], abar_T)))
    return edited


def _conditions(
    editor: Editor, images_BCHW: Tensor, source_labels_B: Tensor, targets: Sequence[str]
) -> tuple[Condition, list[Condition]]:
    """What the network is told of the faces as they are, and as each target."""
    if not editor.hears_expression:
        source = Condition(source_labels_B.to(editor.device))
        return source, [Condition(torch.full_like(source.labels_B, EMOTIONS.index(target))) for target in targets]
    plans = [plan_expressions(editor, images_BCHW, ExpressionTarget({target: 1.0})) for target in targets]
    return plans[0].source.to(editor.device), [plan.target.to(editor.device) for plan in plans]


def _first_step(
    editor: Editor, noise: Tensor, targets: Sequence[Condition], timesteps: Sequence[int], cell: Cell
) -> list[Tensor]:
    """The step from the common latents towards each target: T evaluations a face, and one of the null branch."""
    scale, plain = cell.guidance_scale, cell.guidance_scale == 1
    conditions = [*targets] if plain else [targets[0].without_expression(editor.denoiser.null_class), *targets]
    timesteps_B = torch.full((len(noise),), timesteps[-1], device=noise.device)
    count = len(conditions)
    outputs = editor.denoiser(noise.repeat(count, 1, 1, 1), timesteps_B.repeat(count), Condition.cat(conditions)).chunk(
        count
    )
    if not plain:
        outputs = [(1 - scale) * outputs[0] + scale * conditional for conditional in outputs[1:]]
    estimates = [editor.process.estimate(output, noise, timesteps_B) for output in outputs]
    return [ddim_move(estimate, editor.process.abar_T[timesteps[-2]]) for estimate in estimates]


class EvaluationCount:
    """How many samples a network has seen."""

    def __init__(self) -> None:
        self.samples = 0


@contextmanager
def count_evaluations(network: torch.nn.Module) -> Iterator[EvaluationCount]:
    """Count what really goes through ``network``."""
    count = EvaluationCount()

    def see(_module: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        count.samples += len(arguments[0])

    handle = network.register_forward_pre_hook(see)
    try:
        yield count
    finally:
        handle.remove()
